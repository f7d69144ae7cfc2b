"""Features of frames and captions, worked out by all processes of a group together."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline_lib.runtime.device import autocast, to_device
from pipeline_lib.runtime.distributed import Group
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.trainers.pos_neg.batches import Batch
from pipeline_lib.trainers.pos_neg.model import TrainableClip
from pipeline_lib.trainers.updating import backward_shared

logger = logging.getLogger(__name__)

# Frames or captions at a time where no gradient is kept.
_CHUNK = 64


@dataclass(frozen=True)
class Features:
    """Features of one batch, on every process, cut off from the towers that made them.

    A loss over the whole batch leaves its gradient in ``images`` and ``texts``; see
    :meth:`Towers.backward`.

    Attributes:
        images: Leaf, fp32 [F, D] of length 1.
        texts: Leaf, fp32 [C, D] of length 1.
        own_images: The rows of ``images`` that this process made, with their graph.
        own_texts: Likewise.
    """

    images: Tensor
    texts: Tensor
    own_images: Tensor
    own_texts: Tensor


class Towers:
    """Both towers of a CLIP on the frames and captions of one data set.

    Each process embeds its share of a batch's frames and captions, and all get all features: the
    loss is that of the whole batch, however many processes there are.

    A frozen trunk runs once over everything; then only its projections are left to do.

    Args:
        model: The CLIP, on the group's device.
        pixels: uint8 [n, S, S, 3].
        captions: All captions.
        dtype: Of the forward pass.
        group: The processes.
        progress: Told of the frames that a frozen trunk has seen.

    Attributes:
        dim: Length D of a feature.
    """

    def __init__(
        self,
        model: TrainableClip,
        pixels: NDArray[np.uint8],
        captions: Sequence[str],
        *,
        dtype: torch.dtype,
        group: Group,
        progress: Progress = SILENT,
    ) -> None:
        self._model, self._pixels, self._dtype, self._group = model, pixels, dtype, group
        self._tokens: Tensor = model.tokenizer(list(captions))
        _warn_of_long(self._tokens, model)
        self._mean = 255 * torch.tensor(model.preprocess.mean, device=group.device)
        self._std = 255 * torch.tensor(model.preprocess.std, device=group.device)
        with torch.no_grad(), autocast(self.device, self._dtype):
            one = model.encode_texts(self._short(self._tokens[:1]))
        self.dim = one.shape[1]
        self._kept_images: Tensor | None = None
        self._kept_texts: Tensor | None = None
        if model.trunk_is_frozen:
            self._keep_trunk(progress)

    def features(self, batch: Batch) -> Features:
        """Features of a batch; with a graph where gradients are enabled."""
        frames = batch.frames[self._group.share(len(batch.frames))]
        captions = batch.captions[self._group.share(len(batch.captions))]
        own_images = self._images(frames) if len(frames) else self._nothing()
        own_texts = self._texts(captions) if len(captions) else self._nothing()
        images = self._group.gather_rows(own_images, len(batch.frames))
        texts = self._group.gather_rows(own_texts, len(batch.captions))
        return Features(images.requires_grad_(), texts.requires_grad_(), own_images, own_texts)

    def backward(self, loss: Tensor, features: Features) -> None:
        """Add the gradient of a loss on ``features``; see :func:`backward_shared`."""
        leaves = (features.images, features.texts)
        own = (features.own_images, features.own_texts)
        backward_shared(loss, leaves, own, self._group)

    def _images(self, rows: NDArray[np.int64]) -> Tensor:
        with autocast(self.device, self._dtype):
            if self._kept_images is not None:
                return self._model.project_images(self._kept_images[torch.from_numpy(rows)])
            return self._model.encode_images(self._normalised(rows))

    def _texts(self, rows: NDArray[np.int64]) -> Tensor:
        with autocast(self.device, self._dtype):
            if self._kept_texts is not None:
                return self._model.project_texts(self._kept_texts[torch.from_numpy(rows)])
            return self._model.encode_texts(self._short(self._tokens[torch.from_numpy(rows)]))

    def _keep_trunk(self, progress: Progress) -> None:
        """Run the frozen trunk over all frames and captions, each process over its share."""
        frames, captions = len(self._pixels), len(self._tokens)
        mine = np.arange(frames)[self._group.share(frames)]
        tokens = self._tokens[self._group.share(captions)]
        images, texts = [], []
        with (
            torch.no_grad(),
            autocast(self.device, self._dtype),
            progress.task("frozen part of the network", len(mine)) as advance,
        ):
            for start in range(0, len(mine), _CHUNK):
                rows = mine[start : start + _CHUNK]
                images.append(self._model.trunk_images(self._normalised(rows)))
                advance(len(rows))
            texts = [self._model.trunk_texts(self._short(t)) for t in tokens.split(_CHUNK)]
        self._kept_images = self._group.gather_rows(torch.cat(images), frames)
        self._kept_texts = self._group.gather_rows(torch.cat(texts), captions)

    def _normalised(self, rows: NDArray[np.int64]) -> Tensor:
        """Pixels [k, 3, S, S], by strides alone: channels-last memory."""
        pixels = to_device(self._pixels[rows], self.device).float()
        return pixels.sub_(self._mean).div_(self._std).movedim(-1, 1)

    def _short(self, tokens: Tensor) -> Tensor:
        """Cut on the CPU: a device would have to be waited for."""
        return to_device(self._model.without_padding(tokens).numpy(), self.device)

    def _nothing(self) -> Tensor:
        return torch.zeros(0, self.dim, device=self.device)

    @property
    def device(self) -> torch.device:
        """Where everything runs."""
        return self._group.device


def _warn_of_long(tokens: Tensor, model: TrainableClip) -> None:
    """Say where a text tower may not see the end of a caption."""
    padding = model.tokenizer([""])[0, -1]
    full = int((tokens[:, -1] != padding).sum())
    if full:
        logger.warning(
            "%d of %d captions fill all %d tokens of the text tower; what goes beyond is not read",
            full,
            len(tokens),
            tokens.shape[1],
        )

"""Vectors of videos and captions, worked out by all processes of a group together."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline_lib.backbones.retrieval_model import RetrievalModel
from pipeline_lib.runtime.device import autocast, to_device
from pipeline_lib.runtime.distributed import Group
from pipeline_lib.runtime.seeding import numpy_stream
from pipeline_lib.trainers.tempme_stop.batches import Batch
from pipeline_lib.trainers.tempme_stop.splits import CaptionedFrames
from pipeline_lib.trainers.updating import backward_shared


@dataclass(frozen=True)
class Features:
    """Vectors of one batch, on every process, cut off from the network that made them.

    Attributes:
        texts: Leaf, fp32 [B, D] of length 1.
        videos: Leaf, fp32 [V, D] of length 1.
        clips: Leaf, fp32 [V, C, D]; ``None`` where nothing looks at single clips.
        own: The rows of each of them that this process made, with their graph.
    """

    texts: Tensor
    videos: Tensor
    clips: Tensor | None
    own: tuple[Tensor, ...]

    def backward(self, loss: Tensor, group: Group) -> None:
        """Add the gradient of a loss on these vectors; see :func:`backward_shared`."""
        leaves = [self.texts, self.videos]
        if self.clips is not None:
            leaves.append(self.clips)
        backward_shared(loss, leaves, self.own, group)


class Encoder:
    """The network on the captions and frames of the training split.

    Each process embeds its share of a batch's captions and distinct videos, and all get all
    vectors: the loss is that of the whole batch, however many processes there are.

    Args:
        model: The network, on the group's device.
        split: The training split.
        dtype: Of the forward pass.
        group: The processes.
        with_clips: Whether the loss looks at single clips.
        seed: Of the frames that are drawn.
    """

    def __init__(
        self,
        model: RetrievalModel,
        split: CaptionedFrames,
        *,
        dtype: torch.dtype,
        group: Group,
        with_clips: bool,
        seed: int,
    ) -> None:
        self._model, self._split, self._dtype, self._group = model, split, dtype, group
        self._with_clips, self._seed = with_clips, seed
        self._tokens: Tensor = model.tokenizer(list(split.texts))

    def features(self, batch: Batch, epoch: int) -> Features:
        """Vectors of a batch, with a graph, on the frames that ``epoch`` draws."""
        texts, n_videos = batch.texts, len(batch.videos)
        own_texts = self._texts(texts[self._group.share(len(texts))])
        own_videos, own_clips = self._videos(batch.videos[self._group.share(n_videos)], epoch)
        gather = self._group.gather_rows
        clips = gather(own_clips, n_videos).requires_grad_() if self._with_clips else None
        return Features(
            gather(own_texts, len(texts)).requires_grad_(),
            gather(own_videos, n_videos).requires_grad_(),
            clips,
            (own_texts, own_videos, own_clips) if self._with_clips else (own_texts, own_videos),
        )

    def _texts(self, rows: NDArray[np.int64]) -> Tensor:
        if not len(rows):
            return torch.zeros(0, self._model.dim, device=self._group.device)
        tokens = to_device(self._tokens[torch.from_numpy(rows)].numpy(), self._group.device)
        with autocast(self._group.device, self._dtype):
            return self._model.network.encode_text(tokens).float()

    def _videos(self, videos: NDArray[np.int64], epoch: int) -> tuple[Tensor, Tensor]:
        if not len(videos):
            none = torch.zeros(0, self._model.dim, device=self._group.device)
            return none, none[:, None].expand(0, self._model.clips, -1)
        pixels = self._model.pixels(np.stack([self._frames(v, epoch) for v in videos.tolist()]))
        with autocast(self._group.device, self._dtype):
            vectors = self._model.network.forward_video(pixels)
        return vectors.video.float(), vectors.clips.float()

    def _frames(self, video: int, epoch: int) -> NDArray[np.uint8]:
        """The frames of a video, one drawn from each of its N equal parts: uint8 [N, S, S, 3]."""
        kept, n = self._split.read(video), self._model.frames
        draws = len(kept) // n
        if draws == 1:
            return kept
        stream = numpy_stream(self._seed, "tempme_stop", "frames", epoch, video)
        drawn: NDArray[np.uint8] = kept[np.arange(n) * draws + stream.integers(draws, size=n)]
        return drawn

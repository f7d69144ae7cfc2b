"""A student beside its teacher, on the same clips."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline_lib.backbones.clip_teacher import ClipTeacher, Targets
from pipeline_lib.config import VideoMambaPretrainConfig
from pipeline_lib.networks.masked_videomamba import MaskedVideoMamba, visible_tokens
from pipeline_lib.networks.masking import draw_mask
from pipeline_lib.runtime.device import autocast
from pipeline_lib.trainers.videomamba_pretrain.losses import alignment_loss


class Comparison:
    """How far a student is from its teacher, at the tokens that it sees.

    Args:
        student: Seeing a part of the tokens.
        teacher: Seeing all of them.
        config: The section ``train.videomamba.pretrain``: masks and loss.
        dtype: Of the student's forward pass.
    """

    def __init__(
        self,
        student: MaskedVideoMamba,
        teacher: ClipTeacher,
        config: VideoMambaPretrainConfig,
        dtype: torch.dtype,
    ) -> None:
        self.student, self.teacher = student, teacher
        self._config, self._dtype = config, dtype

    def masks(self, targets: Targets, streams: Sequence[np.random.Generator]) -> Tensor:
        """What is hidden of the first ``len(streams)`` clips, each by a stream of its own.

        Args:
            targets: Of these clips.
            streams: One a clip.

        Returns:
            bool [len(streams), L] on the teacher's device.
        """
        config, shape = self._config, self.student.shape
        looked: Sequence[NDArray[np.float32] | None] = [None] * len(streams)
        if config.mask == "attention":
            looked = list(targets.attention.unflatten(0, (-1, shape.steps)).cpu().numpy())
        masks = [
            draw_mask(config.mask, config.mask_ratio, shape.steps, shape.grid, stream, seen)
            for stream, seen in zip(streams, looked, strict=False)
        ]
        return torch.from_numpy(np.stack(masks)).to(self.teacher.device)

    def predict(self, clip: Tensor, mask: Tensor) -> Tensor:
        """The student's tokens, fp32 [K, B, visible, D]."""
        with autocast(clip.device, self._dtype):
            made: Tensor = self.student(clip, mask)
        return made.float()

    def losses(self, made: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """The loss of each clip, [B].

        Args:
            made: Of :meth:`predict`.
            tokens: The teacher's, [K, B, L, D].
            mask: bool [B, L].
        """
        return alignment_loss(made, visible_tokens(tokens, mask), self._config.loss)

"""Mixing the clips of a batch: mixup (https://arxiv.org/abs/1710.09412) and cutmix
(https://arxiv.org/abs/1905.04899)."""

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torch.nn import functional

from pipeline_lib.datasets.video_clips.augment import ResolvedAugment


@dataclass(frozen=True)
class Mix:
    """How two clips become one, the same for a whole batch.

    Attributes:
        own: Share of the clip itself; the rest is its partner's.
        box: Top, bottom, left and right of what is the partner's; ``None`` mixes every pixel.
    """

    own: float
    box: tuple[int, int, int, int] | None = None

    def clips(self, own: Tensor, partner: Tensor) -> Tensor:
        """Of clips [B, 3, T, S, S]; neither is changed."""
        if self.box is None:
            return own.lerp(partner, 1 - self.own)
        top, bottom, left, right = self.box
        mixed = own.clone()
        mixed[..., top:bottom, left:right] = partner[..., top:bottom, left:right]
        return mixed

    def targets(self, own: Tensor, partner: Tensor) -> Tensor:
        """Of their targets [B, classes]."""
        return own.lerp(partner, 1 - self.own)


def draw_mix(settings: ResolvedAugment, size: int, rng: np.random.Generator) -> Mix | None:
    """How a batch of clips is mixed; ``None`` leaves it as it is.

    Args:
        settings: What is drawn.
        size: Side of a frame.
        rng: Of this batch.
    """
    if not settings.mixup and not settings.cutmix:
        return None
    if rng.random() >= settings.mix_probability:
        return None
    switch = rng.random() < settings.switch_probability
    if settings.cutmix and (switch or not settings.mixup):
        return _box(float(rng.beta(settings.cutmix, settings.cutmix)), size, rng)
    return Mix(float(rng.beta(settings.mixup, settings.mixup)))


def mix_batch(mix: Mix | None, clips: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Mix each clip of a batch with the one as far from its other end, and their targets alike.

    Args:
        mix: As drawn.
        clips: float [B, 3, T, S, S].
        targets: float [B, classes].

    Returns:
        Clips and targets.
    """
    if mix is None:
        return clips, targets
    return mix.clips(clips, clips.flip(0)), mix.targets(targets, targets.flip(0))


def soft_targets(labels: Tensor, classes: int, smoothing: float) -> Tensor:
    """float32 [B, classes]: ``1 - smoothing`` for the class, and an equal share for all of them.

    Args:
        labels: int64 [B].
        classes: How many.
        smoothing: What is shared out.
    """
    one_hot = functional.one_hot(labels, classes).float()
    return one_hot * (1 - smoothing) + smoothing / classes


def _box(own: float, size: int, rng: np.random.Generator) -> Mix:
    """A box around a random point, of an area of ``1 - own`` but for what lies outside."""
    side = int(size * math.sqrt(1 - own))
    bounds = []
    for middle in rng.integers(size, size=2).tolist():
        bounds += [max(0, middle - side // 2), min(size, middle + side // 2)]
    top, bottom, left, right = bounds
    area = (bottom - top) * (right - left)
    return Mix(1 - area / (size * size), (top, bottom, left, right))

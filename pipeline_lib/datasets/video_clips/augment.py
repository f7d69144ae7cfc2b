"""From the frames of a clip to what a network takes; random draws hold for all its frames."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipeline_lib.datasets.video_clips.erasing import erase_box
from pipeline_lib.datasets.video_clips.pixels import as_frames, normalised, scaled
from pipeline_lib.datasets.video_clips.rand_augment import parse_rand_augment

_ATTEMPTS = 10
# Where a crop of masked pretraining may lie, in quarters of the room there is: left and top.
_PLACES = (
    *((0, 0), (4, 0), (0, 4), (4, 4), (2, 2)),
    *((0, 2), (4, 2), (2, 4), (2, 0)),
    *((1, 1), (3, 1), (1, 3), (3, 3)),
)
# A crop this much smaller or larger than what is wanted is made as large, and need not be scaled.
_NEARLY = 3


@dataclass(frozen=True)
class ResolvedAugment:
    """What training does to a clip and to a batch; ``AugmentConfig`` tells of each value."""

    rand_augment: str
    scale: tuple[float, float]
    ratio: tuple[float, float]
    flip: float
    erase: float
    mixup: float
    cutmix: float
    mix_probability: float
    switch_probability: float
    smoothing: float
    repeats: int


class TrainView:
    """RandAugment, a crop of random size and shape, mirroring, and random erasing.

    Args:
        settings: What is drawn.
        size: Side of a frame.

    Raises:
        ConfigError: ``settings.rand_augment`` is not understood.
    """

    def __init__(self, settings: ResolvedAugment, size: int) -> None:
        self._settings, self._size = settings, size
        self._rand_augment = parse_rand_augment(settings.rand_augment)

    def __call__(self, clip: NDArray[np.uint8], rng: np.random.Generator) -> Tensor:
        """float32 [3, T, S, S], normalised, of uint8 [T, H, W, 3]; may be called by threads."""
        frames = as_frames(clip)
        if self._rand_augment is not None:
            frames = self._rand_augment(frames, rng)
        top, left, height, width = self._box(frames.shape[2], frames.shape[3], rng)
        frames = frames[:, :, top : top + height, left : left + width]
        frames = scaled(frames, self._size, self._size)
        view = normalised(_maybe_mirrored(frames, self._settings.flip, rng))
        if rng.random() < self._settings.erase:
            erase_box(view, rng)
        return view

    def _box(self, height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """Top, left, height and width of a crop of random area and shape."""
        narrowest, widest = self._settings.ratio
        for _ in range(_ATTEMPTS):
            area = rng.uniform(*self._settings.scale) * height * width
            shape = math.exp(rng.uniform(math.log(narrowest), math.log(widest)))
            wide, tall = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
            if 0 < wide <= width and 0 < tall <= height:
                top = int(rng.integers(height - tall, endpoint=True))
                left = int(rng.integers(width - wide, endpoint=True))
                return top, left, tall, wide
        # The largest in the middle whose shape is allowed.
        wide = min(width, max(1, round(height * widest)))
        tall = min(height, max(1, round(width / narrowest)))
        return (height - tall) // 2, (width - wide) // 2, tall, wide


class PretrainView:
    """A crop of one of several sizes at one of thirteen places, mirrored at times.

    The multi-scale crop of TSN (https://arxiv.org/abs/1608.00859), as masked pretraining takes it.

    Args:
        scales: Sides of the crop, as shares of the shorter side; width and height differ by at
            most one step.
        flip: Chance that a clip is mirrored.
        size: Side of a frame.
    """

    def __init__(self, scales: Sequence[float], flip: float, size: int) -> None:
        self._flip, self._size = flip, size
        self._scales = tuple(scales)

    def __call__(self, clip: NDArray[np.uint8], rng: np.random.Generator) -> Tensor:
        """float32 [3, T, S, S], normalised, of uint8 [T, H, W, 3]; may be called by threads."""
        frames = as_frames(clip)
        height, width = frames.shape[2:]
        shapes = self._shapes(min(height, width))
        wide, tall = shapes[rng.integers(len(shapes))]
        right, down = _PLACES[rng.integers(len(_PLACES))]
        left, top = right * ((width - wide) // 4), down * ((height - tall) // 4)
        frames = frames[:, :, top : top + tall, left : left + wide]
        frames = scaled(frames, self._size, self._size)
        return normalised(_maybe_mirrored(frames, self._flip, rng))

    def _shapes(self, short: int) -> list[tuple[int, int]]:
        sides = [max(1, int(short * scale)) for scale in self._scales]
        room = self._size <= short
        sides = [self._size if room and abs(s - self._size) < _NEARLY else s for s in sides]
        return [
            (wide, tall)
            for number, tall in enumerate(sides)
            for other, wide in enumerate(sides)
            if abs(number - other) <= 1
        ]


def test_crop(clip: NDArray[np.uint8], size: int, crop: int, crops: int) -> Tensor:
    """One of several squares along the longer side, after scaling the shorter one to ``size``.

    Args:
        clip: uint8 [T, H, W, 3].
        size: Side of a frame.
        crop: Which, from 0.
        crops: How many there are; a single one is the centre.

    Returns:
        float32 [3, T, S, S], normalised.
    """
    if not 0 <= crop < crops:
        raise ValueError(f"Crop {crop} of {crops}.")
    frames = as_frames(clip)
    height, width = frames.shape[2:]
    tall, wide = _short_side(height, width, size)
    frames = scaled(frames, tall, wide)
    room = max(tall, wide) - size
    # Multiplied first, so that no room is lost to rounding.
    start = crop * room // (crops - 1) if crops > 1 else round(room / 2)
    along = frames[:, :, start : start + size] if tall > wide else frames[..., start : start + size]
    return normalised(along)


def _short_side(height: int, width: int, size: int) -> tuple[int, int]:
    if height <= width:
        return size, max(size, int(size * width / height))
    return max(size, int(size * height / width)), size


def _maybe_mirrored(frames: Tensor, chance: float, rng: np.random.Generator) -> Tensor:
    return frames.flip(3) if rng.random() < chance else frames

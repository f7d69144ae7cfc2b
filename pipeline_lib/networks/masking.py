"""Which patches of a clip stay hidden in masked pretraining.

Every kind hides the same number of patches in every clip, so clips of a batch stay in one tensor.
The class token is never hidden. Kinds and counts are those of VideoMamba's masked pretraining
(https://github.com/OpenGVLab/VideoMamba, after https://arxiv.org/abs/2303.16058).
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
# Weights of patches without any attention: they are drawn last, and still can be.
_LEAST = 1e-30


class _Drawer(Protocol):
    def __call__(
        self, ratio: float, frames: int, side: int, rng: np.random.Generator, /
    ) -> Mask: ...


def draw_mask(
    kind: str,
    ratio: float,
    frames: int,
    side: int,
    rng: np.random.Generator,
    attention: NDArray[np.float32] | None = None,
) -> Mask:
    """Draw what is hidden of one clip.

    Args:
        kind: ``attention`` keeps patches as likely as the teacher looks at them, frame by frame;
            ``tube`` hides the same patches in all frames, ``random`` any patches of the clip,
            ``tube_row`` rows of patches frame by frame, ``random_row`` any rows of the clip.
        ratio: Share that is hidden, of a frame's patches (``attention``, ``tube``), a frame's rows
            (``tube_row``), the clip's patches (``random``) or rows (``random_row``); rounded down.
        frames: T', of the student's tokens.
        side: Patches along a side.
        rng: Decides.
        attention: [T', P], of the teacher's class token; for ``attention`` alone.

    Returns:
        bool [1 + T' * P], class token first, true where hidden.

    Raises:
        ValueError: ``attention`` is missing, or has another size.
    """
    if kind == "attention":
        hidden = _by_attention(ratio, frames, side, rng, attention)
    else:
        hidden = _DRAWERS[kind](ratio, frames, side, rng)
    return np.concatenate([[False], hidden.reshape(-1)])


def _by_attention(
    ratio: float,
    frames: int,
    side: int,
    rng: np.random.Generator,
    attention: NDArray[np.float32] | None,
) -> Mask:
    patches = side**2
    if attention is None or attention.shape != (frames, patches):
        raise ValueError(f"needs attention of {frames} x {patches} patches")
    # The smallest of exponential times with these rates come in the order in which a draw
    # without replacement would take the patches.
    rates = np.maximum(attention.astype(np.float64), _LEAST)
    order = (rng.exponential(size=rates.shape) / rates).argsort(axis=1, kind="stable")
    hidden = np.ones((frames, patches), dtype=bool)
    np.put_along_axis(hidden, order[:, : patches - int(patches * ratio)], False, axis=1)
    return hidden


def _tube(ratio: float, frames: int, side: int, rng: np.random.Generator) -> Mask:
    return np.tile(_some(side**2, ratio, rng), frames)


def _random(ratio: float, frames: int, side: int, rng: np.random.Generator) -> Mask:
    return _some(frames * side**2, ratio, rng)


def _tube_row(ratio: float, frames: int, side: int, rng: np.random.Generator) -> Mask:
    return np.concatenate([_some(side, ratio, rng).repeat(side) for _ in range(frames)])


def _random_row(ratio: float, frames: int, side: int, rng: np.random.Generator) -> Mask:
    return _some(frames * side, ratio, rng).repeat(side)


def _some(count: int, ratio: float, rng: np.random.Generator) -> Mask:
    """A random part of ``count`` things, bool [count]."""
    chosen = np.zeros(count, dtype=bool)
    chosen[rng.permutation(count)[: int(count * ratio)]] = True
    return chosen


_DRAWERS: Mapping[str, _Drawer] = {
    "tube": _tube,
    "random": _random,
    "tube_row": _tube_row,
    "random_row": _random_row,
}

"""Choosing frames for a caption: one from every part of the timeline, the best-scored of each.

Everything counts sampled frames, so that a part holds frames rather than seconds: pictures that
stand still in a video of variable frame rate are one frame, however long they are shown.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.config import FrameSegments
from pipeline_lib.errors import ConfigError

_OPENING = 3  # frames in the first part of "original-first3"


def cut_timeline(n: int, k: int, segments: FrameSegments) -> list[tuple[int, int]]:
    """The parts of a timeline of ``n`` sampled frames, each of which gives one frame.

    Args:
        n: Sampled frames.
        k: Parts that are wanted, at least 1.
        segments: ``equal`` cuts at floor(i * n / k). ``original-first3`` takes the first 3 frames
            as one part and cuts the rest into ``k - 1`` parts of (n - 3) // (k - 1) frames, the
            last of which has the remainder too. Up to 3 frames are a single part there, and so
            are all frames where ``k`` is 1.

    Returns:
        First frame and the one after the last of each part, ascending. Parts without frames are
        left out, so there may be fewer than ``k``.

    Raises:
        ConfigError: ``k`` is below 1.
    """
    if k < 1:
        raise ConfigError(f"k = {k}: at least one frame has to be chosen.")
    if segments == "equal":
        bounds = [i * n // k for i in range(k + 1)]
    elif k == 1 or n <= _OPENING:
        bounds = [0, n]
    else:
        length = (n - _OPENING) // (k - 1)
        bounds = [0, *(_OPENING + i * length for i in range(k - 1)), n]
    return [(start, end) for start, end in pairwise(bounds) if start < end]


def choose_frames(
    scores: NDArray[np.floating], k: int, segments: FrameSegments
) -> NDArray[np.int64]:
    """The best-scored frame of every part of the timeline, the first one where several are best.

    Args:
        scores: float [n], of the sampled frames in the order of time.
        k: Frames that are wanted; with fewer sampled ones there are fewer.
        segments: How the timeline is cut, see :func:`cut_timeline`.

    Returns:
        int64 [m], positions among the sampled frames, ascending and distinct, m <= k.

    Raises:
        ConfigError: ``k`` is below 1.
    """
    parts = cut_timeline(len(scores), k, segments)
    best = [start + int(np.argmax(scores[start:end])) for start, end in parts]
    return np.array(best, dtype=np.int64)

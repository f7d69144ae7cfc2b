"""Sliding windows over the rows of one video."""

import math

import numpy as np

from pipeline_lib.errors import ConfigError

# 10 * (1 - 0.8) is 1.9999999999999996 in floating point; the stride meant is 2.
_ROUNDING = 1e-9


def window_stride(unit: int, overlap: float) -> int:
    """Rows between the starts of neighbouring windows: ``max(1, floor(unit * (1 - overlap)))``.

    Args:
        unit: Rows in one window, at least 1.
        overlap: Share of a window that the next one repeats, in [0, 1).

    Raises:
        ConfigError: ``unit`` or ``overlap`` is out of range.
    """
    if unit < 1:
        raise ConfigError(f"unit_duration = {unit}: a window has at least 1 row.")
    if not 0 <= overlap < 1:
        raise ConfigError(f"overlap_ratio = {overlap}: must be at least 0 and below 1.")
    return max(1, math.floor(unit * (1 - overlap) + _ROUNDING))


def window_starts(n_rows: int, unit: int, overlap: float) -> np.ndarray:
    """First rows of all windows that fit; a tail shorter than ``unit`` is left out.

    Args:
        n_rows: Rows of the video.
        unit: Rows in one window, at least 1.
        overlap: Share of a window that the next one repeats, in [0, 1).

    Returns:
        Int64 [n], ascending; empty where the video is shorter than one window.

    Raises:
        ConfigError: ``unit`` or ``overlap`` is out of range.
    """
    return np.arange(0, n_rows - unit + 1, window_stride(unit, overlap), dtype=np.int64)

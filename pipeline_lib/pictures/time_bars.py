"""Bars over the time of a video: what the pictures of single videos share."""

import numpy as np
from matplotlib.ticker import MaxNLocator

# Videos longer than this are read in minutes and hours.
_LONGEST_IN_SECONDS = 600.0
_HOUR = 3600
_CLOCK_STEPS = (60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
_MOST_CLOCK_TICKS = 15


def time_ticks(last: float) -> tuple[np.ndarray, list[str], str]:
    """Ticks of a time axis from 0 to ``last`` seconds.

    Returns:
        Their places in seconds, their words, and the unit the words are in.
    """
    if last <= _LONGEST_IN_SECONDS:
        locator = MaxNLocator(nbins=20, steps=[1, 2, 3, 5, 6, 10], integer=True)
        places = np.asarray(locator.tick_values(0.0, last), float)
        places = places[(places >= 0) & (places <= last)]
        return places, [f"{place:g}" for place in places], "seconds"
    step = next((s for s in _CLOCK_STEPS if last / s <= _MOST_CLOCK_TICKS), _CLOCK_STEPS[-1])
    places = np.arange(0.0, last + 1e-9, step)
    if last < _HOUR:
        return places, [time_words(place, last) for place in places.tolist()], "minutes:seconds"
    clock = (divmod(round(place) // 60, 60) for place in places.tolist())
    return places, [f"{hours}:{minutes:02d}" for hours, minutes in clock], "hours:minutes"


def time_words(seconds: float, last: float) -> str:
    """A time as it is read in a video of ``last`` seconds: ``8.31``, ``12:05`` or ``1:02:05``."""
    if last <= _LONGEST_IN_SECONDS:
        return f"{seconds:g}"
    minutes, rest = divmod(round(seconds), 60)
    if last < _HOUR:
        return f"{minutes}:{rest:02d}"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def runs(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Neighbouring bars that touch, joined: an hour of windows is then a handful of shapes."""
    breaks = left[1:] > right[:-1] + 1e-9
    first = np.ones(len(left), bool)
    first[1:] = breaks
    return left[first], right[np.roll(first, -1)]


def rectangles(left: np.ndarray, right: np.ndarray, low: float, high: float) -> np.ndarray:
    """Corners of bars of one height, float [n, 4, 2]."""
    bars = np.empty((len(left), 4, 2))
    bars[:, :2, 0] = left[:, None]
    bars[:, 2:, 0] = right[:, None]
    bars[:, 1:3, 1] = high
    bars[:, ::3, 1] = low
    return bars


def owned_times(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of its time that each window is shown for: overlaps are shared half and half.

    Args:
        starts: Window starts, float [n], ascending.
        ends: Window ends, float [n], ascending.

    Returns:
        Starts and ends of the parts, float [n] each; no two parts overlap.
    """
    middles = (starts[1:] + ends[:-1]) / 2
    overlap = starts[1:] < ends[:-1]
    left, right = starts.astype(float), ends.astype(float)
    left[1:][overlap] = middles[overlap]
    right[:-1][overlap] = middles[overlap]
    return left, right

"""When frames are presented: 24 frames a second mostly, NTSC's 29.97, and irregular times."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

_NTSC = Fraction(30000, 1001)
_FILM = Fraction(24)
_MILLISECOND = Fraction(1, 1000)


@dataclass(frozen=True)
class Timing:
    """The frame times of one video.

    Attributes:
        rate: Nominal frames per second.
        time_base: Seconds in one unit of ``pts``.
        pts: Ascending presentation times, the first one 0.
    """

    rate: Fraction
    time_base: Fraction
    pts: tuple[int, ...]

    @property
    def times_s(self) -> list[Fraction]:
        """Exact presentation times in seconds."""
        return [pts * self.time_base for pts in self.pts]


def make_timing(rng: np.random.Generator, duration: Fraction, index: int) -> Timing:
    """The timing of video ``index``: of every nine, one is 29.97 and one has a variable rate."""
    if index % 9 == 2:
        return _constant(_NTSC, duration)
    if index % 9 == 5:
        return _variable(rng, duration)
    return _constant(_FILM, duration)


def _constant(rate: Fraction, duration: Fraction) -> Timing:
    return Timing(rate, 1 / rate, tuple(range(max(1, int(duration * rate)))))


def _variable(rng: np.random.Generator, duration: Fraction) -> Timing:
    """Uneven steps and now and then a gap, as a screen recorder leaves; whole seconds are met."""
    end = int(duration / _MILLISECOND)
    steps = rng.integers(25, 60, size=end // 25)
    steps[rng.random(len(steps)) < 0.02] *= 5
    pts = np.union1d(np.cumsum(steps), np.arange(0, end, 1000))
    return Timing(_FILM, _MILLISECOND, tuple(int(time) for time in pts[pts < end - 25]))

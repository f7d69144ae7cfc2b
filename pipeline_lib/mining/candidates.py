"""Which frames of a video its items need: those they point at, and candidates for negatives.

Everything here works on presentation times alone, before a frame is decoded. A frame is named by
its position in those times.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.config import MineConfig
from pipeline_lib.datasets.questions import Question
from pipeline_lib.mining.items import SupportTimes
from pipeline_lib.runtime.seeding import numpy_stream
from pipeline_lib.video.reader import TIME_TOLERANCE_S

# Times are quotients of whole numbers; one this little before a boundary is meant to be on it.
_BOUNDARY_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Candidate:
    """A frame that may become a negative.

    Attributes:
        segment: The part of the timeline it was drawn from, from 0.
        frame: Position among the presentation times.
    """

    segment: int
    frame: int


@dataclass(frozen=True)
class ItemPlan:
    """The frames of one item.

    Attributes:
        question: The item.
        times: Its moments.
        true: Position of each true frame to the earliest time that was asked for, ascending.
        candidates: In the order they were drawn, segment by segment.
    """

    question: Question
    times: SupportTimes
    true: dict[int, float]
    candidates: tuple[Candidate, ...]

    @property
    def frames(self) -> set[int]:
        """Positions of all its frames."""
        return {*self.true, *(candidate.frame for candidate in self.candidates)}


class SegmentDraws:
    """The frames of each segment of a video, in the order in which they are tried.

    The order belongs to the video, so that its items share candidates: what a video costs hardly
    grows with the questions about it. Each segment has a random stream of its own, and more tries
    only add to fewer.

    Args:
        video: What names the video, the same for the same content.
        times_s: float64 [n], presentation times of its frames, ascending from 0.
        config: Segments, tries and seed.
    """

    def __init__(self, video: str, times_s: NDArray[np.float64], config: MineConfig) -> None:
        self._tries = config.tries_per_segment
        segment_of = segments_of(times_s, config.segments)
        self._orders = [
            numpy_stream(config.seed, "mine", video, segment).permutation(
                np.flatnonzero(segment_of == segment)
            )
            for segment in range(config.segments)
        ]

    def candidates(self, true: Collection[int]) -> tuple[Candidate, ...]:
        """The first ``tries_per_segment`` frames of each segment that are not among ``true``.

        A segment with too few frames gives what it has.
        """
        drawn = []
        for segment, order in enumerate(self._orders):
            first = order[: self._tries + len(true)].tolist()
            others = [frame for frame in first if frame not in true][: self._tries]
            drawn += [Candidate(segment, frame) for frame in others]
        return tuple(drawn)


def plan_item(
    question: Question, times: SupportTimes, times_s: NDArray[np.float64], draws: SegmentDraws
) -> ItemPlan:
    """Choose the true frames of an item and its candidates.

    Args:
        question: The item.
        times: Its moments, all within the video.
        times_s: float64 [n], presentation times of the video's frames, ascending from 0.
        draws: Of its video.
    """
    true: dict[int, float] = {}
    for time in times.times_s:
        true.setdefault(shown_at(times_s, time), time)
    return ItemPlan(question, times, true, draws.candidates(true))


def segments_of(times_s: NDArray[np.float64], segments: int) -> NDArray[np.int64]:
    """The part of the timeline, cut into ``segments`` equal parts, that each frame starts in.

    Args:
        times_s: float64 [n], presentation times, ascending from 0.
        segments: Number of parts. With a constant frame rate frame k of n is in part
            floor(k * segments / n); with fewer frames than parts, some parts have none.

    Returns:
        int64 [n], each in [0, segments).
    """
    if len(times_s) == 1:
        return np.zeros(1, dtype=np.int64)
    parts = times_s * segments / timeline_s(times_s)
    return np.floor(parts + _BOUNDARY_TOLERANCE).astype(np.int64)


def timeline_s(times_s: NDArray[np.float64]) -> float:
    """Seconds from the first frame to the end of the last, shown for the others' mean time.

    This is the timeline that is cut into segments; 0 for a single frame.
    """
    n = len(times_s)
    return float(times_s[-1]) * n / (n - 1) if n > 1 else 0.0


def shown_at(times_s: NDArray[np.float64], time: float) -> int:
    """Position of the last frame that starts at or before ``time``, as the reader decides it."""
    return int(np.searchsorted(times_s - TIME_TOLERANCE_S, time, side="right")) - 1

"""Which frames of a video an item needs: those it points at, and candidates for negatives.

Everything here works on presentation times alone, before a frame is decoded. A frame is named by
its position in those times.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.config import MineConfig
from pipeline_lib.datasets.questions import Question
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
        true: Position of each true frame to the earliest time that was asked for, ascending.
        candidates: In the order they were drawn, segment by segment.
        length_s: Of the timeline that was cut into segments; 0 for a single frame.
    """

    question: Question
    true: dict[int, float]
    candidates: tuple[Candidate, ...]
    length_s: float


def plan_item(question: Question, times_s: NDArray[np.float64], config: MineConfig) -> ItemPlan:
    """Choose the true frames of an item and draw its candidates.

    Args:
        question: Its support times are not negative; one past the last frame gives that frame.
        times_s: float64 [n], presentation times of the video's frames, ascending from 0.
        config: Segments, tries and seed.
    """
    true: dict[int, float] = {}
    for time in sorted(question.support_frames):
        true.setdefault(_shown_at(times_s, time), time)
    candidates = draw_candidates(question.id, times_s, true, config)
    return ItemPlan(question, true, candidates, _length(times_s))


def draw_candidates(
    item_id: str, times_s: NDArray[np.float64], true: Collection[int], config: MineConfig
) -> tuple[Candidate, ...]:
    """Draw ``tries_per_segment`` frames of each segment, without repeats and without ``true``.

    Each segment of each item has a random stream of its own, so the draws depend neither on other
    items nor on their order, and more tries only add to fewer. A segment with too few frames
    gives what it has.
    """
    eligible = np.ones(len(times_s), dtype=bool)
    eligible[list(true)] = False
    segment_of = segments_of(times_s, config.segments)
    drawn = []
    for segment in range(config.segments):
        frames = np.flatnonzero(eligible & (segment_of == segment))
        stream = numpy_stream(config.seed, "mine", item_id, segment)
        chosen = stream.permutation(frames)[: config.tries_per_segment]
        drawn += [Candidate(segment, int(frame)) for frame in chosen]
    return tuple(drawn)


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
    parts = times_s * segments / _length(times_s)
    return np.floor(parts + _BOUNDARY_TOLERANCE).astype(np.int64)


def _length(times_s: NDArray[np.float64]) -> float:
    """Seconds from the first frame to the end of the last, shown for the others' mean time."""
    n = len(times_s)
    return float(times_s[-1]) * n / (n - 1) if n > 1 else 0.0


def _shown_at(times_s: NDArray[np.float64], time: float) -> int:
    """Position of the last frame that starts at or before ``time``, as the reader decides it."""
    return int(np.searchsorted(times_s - TIME_TOLERANCE_S, time, side="right")) - 1

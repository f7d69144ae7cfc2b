"""From the scores of a video's frames to the moments that fit a query."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.retrieval.records import VideoRecord


@dataclass(frozen=True)
class Moment:
    """A stretch of a video that fits a query, named by its best frame.

    Attributes:
        source_frame: The best frame's index among all frames of the video.
        timestamp_s: When it is first shown, seconds.
        score: Its cosine with the query.
        clip: The joined clip it belongs to, from 0.
        segment: The equal part of the timeline it lies in, from 0.
        start_s: Where the stretch begins.
        end_s: Where it ends.
    """

    source_frame: int
    timestamp_s: float
    score: float
    clip: int
    segment: int
    start_s: float
    end_s: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def frame_scores(record: VideoRecord, query: NDArray[np.float32]) -> NDArray[np.float64]:
    """float64 [N], the cosine of each sampled frame with a unit vector [D], to six decimals.

    Rounding makes scores, and with them the order of equal frames, the same on every machine.
    """
    return np.round(record.frames.astype(np.float64) @ query.astype(np.float64), 6)


def find_moments(
    record: VideoRecord,
    scores: NDArray[np.float64],
    top_k: int,
    *,
    segments: int,
    threshold: float | None = None,
) -> list[Moment]:
    """The best stretches of a video, best first; no two of them overlap.

    A stretch is a frame with its neighbours on both sides as long as they lie above the middle
    between its score and the lower quartile of the video, which is background even where an event
    fills most of it: they show the same event, and would otherwise crowd out every other one.
    Frames that score higher than those beside them come first; slopes between them only fill up
    what is missing of ``top_k``.

    Args:
        record: The video.
        scores: float64 [N], of its sampled frames.
        top_k: Most stretches; a short video has fewer.
        segments: Equal parts of the timeline that label a moment.
        threshold: Least score of a moment.
    """
    # A video with fewer frames than were sampled repeats some; each counts once.
    frames, first = np.unique(record.source_index, return_index=True)
    bounds = np.append(first, len(scores)) * (record.duration_s / len(scores))
    values = scores[first]
    background = float(np.quantile(values, 0.25))
    free = np.ones(len(frames), dtype=np.bool_)
    found: list[Moment] = []
    for best in _peaks_first(values):
        if len(found) == top_k:
            break
        if not free[best] or (threshold is not None and values[best] < threshold):
            continue
        start, end = _stretch(values, free, best, (float(values[best]) + background) / 2)
        free[start:end] = False
        time_s = float(record.pts_s[first[best]])
        part = int(time_s / record.duration_s * segments) if record.duration_s > 0 else 0
        found.append(
            Moment(
                source_frame=int(frames[best]),
                timestamp_s=time_s,
                score=float(values[best]),
                clip=int(first[best]) // (len(scores) // record.clips),
                segment=min(part, segments - 1),
                start_s=round(float(bounds[start]), 6),
                end_s=round(float(bounds[end]), 6),
            )
        )
    return sorted(found, key=lambda moment: -moment.score)


def _peaks_first(values: NDArray[np.float64]) -> list[int]:
    """All positions: those that no neighbour exceeds, then the others, each best first."""
    walled = np.concatenate([[-np.inf], values, [-np.inf]])
    peak = (values >= walled[:-2]) & (values >= walled[2:])
    return [int(position) for position in np.lexsort((-values, ~peak))]


def _stretch(
    values: NDArray[np.float64], free: NDArray[np.bool_], best: int, least: float
) -> tuple[int, int]:
    """The free neighbours of ``best`` that score above ``least``: from, and up to, a position."""
    start, end = best, best + 1
    while start > 0 and free[start - 1] and values[start - 1] > least:
        start -= 1
    while end < len(values) and free[end] and values[end] > least:
        end += 1
    return start, end

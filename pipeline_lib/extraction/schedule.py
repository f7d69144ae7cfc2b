"""Which moments of a video a network sees. Knows nothing of networks, so decoders can run it."""

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.errors import VideoError
from pipeline_lib.video.scaling import Resize

# Two grids meet at the same moment although k * 0.1 and j / 10 differ in the last bit.
_SAME_MOMENT_S = 1e-7
# A frame this little before a boundary is shown at it: container clocks round.
_BOUNDARY_S = 1e-4


@dataclass(frozen=True)
class Grid:
    """The moments at which a video is sampled.

    Row k is the frame at ``k * every_s``. Everything counts from the first presented frame, so
    with boundaries by ``time`` nothing drifts with the frame rate.

    Attributes:
        every_s: Seconds from row to row.
        clip_len_s: Seconds of one clip.
        fps: Samples a second inside a clip, from its start and at least one; ``None`` takes every
            frame.
        boundaries: ``time``: clip i covers ``[i * clip_len_s, (i + 1) * clip_len_s)``.
            ``frame_count``: clip i is the i-th run of ``int(fps * clip_len_s)`` frames, fps as the
            container declares it, and a last run that is not full is no clip: how older extractors
            cut, for features that must line up with theirs.
    """

    every_s: float
    clip_len_s: float
    fps: float | None
    boundaries: Literal["time", "frame_count"] = "time"


@dataclass(frozen=True)
class Stream:
    """What one network wants to see of a video.

    Attributes:
        resize: How its frames are scaled and cropped.
        grid: When.
        frames_per_clip: ``None`` for an image network, which sees the rows and every clip's
            samples; n for a clip network, which sees n frames spread over each clip.
    """

    resize: Resize
    grid: Grid
    frames_per_clip: int | None = None

    @property
    def needs_frame_times(self) -> bool:
        """The moments follow from the times of the frames, not from the clock alone."""
        grid = self.grid
        return bool(self.frames_per_clip) or grid.fps is None or grid.boundaries == "frame_count"


@dataclass(frozen=True)
class Moment:
    """One frame that a network sees.

    Attributes:
        time_s: Seconds since the first presented frame.
        row: It is a row of the per-second features.
        clip: The clip it belongs to, or ``None``.
    """

    time_s: float
    row: bool
    clip: int | None


@dataclass(frozen=True)
class FrameTimes:
    """The frames of a video, known before it is decoded.

    Attributes:
        pts_s: float64 [n], ascending, the first one 0.
        fps: As the container declares it; ``None`` where it does not.
    """

    pts_s: NDArray[np.float64]
    fps: float | None


def spread(frames: int, wanted: int) -> NDArray[np.int64]:
    """``trunc(linspace(0, frames - 1, wanted))``: indices int64 [wanted], with repeats if few.

    This is pytorchvideo's UniformTemporalSubsample
    (https://github.com/facebookresearch/pytorchvideo).
    """
    return np.linspace(0, frames - 1, wanted).astype(np.int64)


def moments(stream: Stream, frames: FrameTimes | None) -> Iterator[Moment]:
    """Ascending moments of ``stream``, endless: the caller stops at the end of the video.

    Args:
        stream: What is wanted.
        frames: Needed where ``stream.needs_frame_times``.

    Raises:
        VideoError: Clips by frame count of a video that declares no frame rate, or one so low that
            a clip has no frame.
    """
    if stream.frames_per_clip:
        return _spread_over_clips(_clip_frames(stream.grid, frames), stream.frames_per_clip)
    return _merged(stream.grid, frames)


def clip_bounds(grid: Grid, frames: FrameTimes, clips: int) -> list[tuple[float, float]]:
    """Start and end in seconds of the first ``clips`` clips cut by frame count.

    Raises:
        VideoError: As :func:`moments`.
    """
    size = _frames_a_clip(grid, frames)
    edges = np.append(frames.pts_s, np.inf)[: (clips + 1) * size : size]
    return [(float(a), float(b)) for a, b in pairwise(edges)]


def _merged(grid: Grid, frames: FrameTimes | None) -> Iterator[Moment]:
    """Rows and clip samples; a moment on both grids comes once."""
    rows = (Moment(k * grid.every_s, True, None) for k in count())
    waiting: Moment | None = None
    for moment in heapq.merge(rows, _clip_samples(grid, frames), key=lambda m: m.time_s):
        if waiting is not None and moment.time_s - waiting.time_s < _SAME_MOMENT_S:
            clip = waiting.clip if moment.clip is None else moment.clip
            waiting = Moment(waiting.time_s, waiting.row or moment.row, clip)
            continue
        if waiting is not None:
            yield waiting
        waiting = moment


def _clip_samples(grid: Grid, frames: FrameTimes | None) -> Iterator[Moment]:
    if grid.fps is None or grid.boundaries == "frame_count":
        for clip, times in enumerate(_clip_frames(grid, frames)):
            yield from (Moment(time, False, clip) for time in times)
        return
    per_clip = max(1, math.ceil(grid.clip_len_s * grid.fps - 1e-6))
    for clip in count():
        for sample in range(per_clip):
            yield Moment(clip * grid.clip_len_s + sample / grid.fps, False, clip)


def _spread_over_clips(clips: Iterator[list[float]], wanted: int) -> Iterator[Moment]:
    for clip, times in enumerate(clips):
        for index in spread(len(times), wanted):
            yield Moment(times[index], False, clip)


def _clip_frames(grid: Grid, frames: FrameTimes | None) -> Iterator[list[float]]:
    """The times of the frames of each clip."""
    if frames is None:
        raise ValueError("this stream needs the times of the frames")
    if grid.boundaries == "frame_count":
        size = _frames_a_clip(grid, frames)
        for start in range(0, len(frames.pts_s) - size + 1, size):
            yield frames.pts_s[start : start + size].tolist()
        return
    for clip in count():
        begin, end = clip * grid.clip_len_s, (clip + 1) * grid.clip_len_s
        low, high = np.searchsorted(frames.pts_s, [begin - _BOUNDARY_S, end - _BOUNDARY_S])
        # Where no frame begins inside the clip, the one shown at its start is all there is.
        yield np.maximum(frames.pts_s[low:high], begin).tolist() or [begin]


def _frames_a_clip(grid: Grid, frames: FrameTimes) -> int:
    if frames.fps is None:
        raise VideoError(
            "The container declares no frame rate, so clips cannot be cut by frame count.",
            reason="no_frame_rate",
            hint="Use extract.boundaries: time.",
        )
    size = int(frames.fps * grid.clip_len_s)
    if size < 1:
        raise VideoError(
            f"At {frames.fps:g} frames a second a clip of {grid.clip_len_s:g} s has no frame.",
            reason="no_frame_rate",
            hint="Use extract.boundaries: time, or longer clips.",
        )
    return size

"""Frames at even distances over a video or a segment of it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.errors import DataError, VideoError
from pipeline_lib.video.announcement import announcement
from pipeline_lib.video.reader import VideoReader, open_video
from pipeline_lib.video.scaling import Resize

# An end that was rounded to a tenth of a second may lie this far behind the true one.
ROUNDED_S = 0.05


@dataclass(frozen=True)
class Segment:
    """A part of a video.

    Attributes:
        start_s: Seconds since the first frame.
        end_s: Where it ends; ``None`` is the end of the video.
        at_most_s: Only so many seconds from its start count where it is longer.
        name: What the messages call it; empty for the video itself.
    """

    start_s: float = 0.0
    end_s: float | None = None
    at_most_s: float | None = None
    name: str = ""


@dataclass(frozen=True)
class SampledVideo:
    """Frames of one video or segment, in the order of time.

    Attributes:
        frames: uint8 [n, S, S, 3], RGB.
        pts_s: float64 [n], when each is first shown, seconds since the first frame of the video.
        source_index: int64 [n], its index among all presented frames of the video; where a video
            has fewer frames than were asked for, indices repeat.
        duration_s: Length of the whole video.
    """

    frames: NDArray[np.uint8]
    pts_s: NDArray[np.float64]
    source_index: NDArray[np.int64]
    duration_s: float

    def __len__(self) -> int:
        return len(self.pts_s)


def sample_times(n: int, start_s: float, end_s: float) -> NDArray[np.float64]:
    """The middles of ``n`` equal parts of a segment: float64 [n], ascending, all inside it.

    Raises:
        ValueError: ``n`` is not positive, or the segment does not end after it starts.
    """
    if n < 1 or not start_s < end_s:
        raise ValueError(f"{n} times between {start_s} s and {end_s} s.")
    return start_s + (np.arange(n, dtype=np.float64) + 0.5) * ((end_s - start_s) / n)


def sample_video(
    path: Path,
    n: int,
    resize: Resize,
    *,
    start_s: float = 0.0,
    end_s: float | None = None,
    decoder: str = "pyav",
    tolerant: bool = False,
) -> SampledVideo:
    """Decode ``n`` frames at even distances.

    Args:
        path: The video.
        n: How many; a video with fewer frames repeats some.
        resize: With a crop or ``squash``, so that all videos come out alike.
        start_s: Where the segment begins.
        end_s: Where it ends; ``None`` is the end of the video.
        decoder: A name in :data:`~pipeline_lib.video.decoders.DECODERS`.
        tolerant: Damage on the way to these frames leaves out what cannot be decoded, so that an
            earlier frame stands for it, instead of refusing the video.

    Raises:
        ConfigError: There is no such decoder.
        DataError: The segment is not inside the video.
        VideoError: The video cannot be read; ``reason`` says why.
    """
    segment = Segment(start_s, end_s)
    return sample_segment(path, segment, n, resize, decoder=decoder, tolerant=tolerant)


def sample_segment(
    path: Path,
    segment: Segment,
    n: int,
    resize: Resize,
    *,
    decoder: str = "pyav",
    tolerant: bool = False,
) -> SampledVideo:
    """As :func:`sample_video`, for a :class:`Segment`."""
    duration_s = video_length_s(path)
    bounds = segment_bounds(path, segment, duration_s)
    [(_, sampled)] = sample_segments(
        path, [bounds], n, resize, duration_s=duration_s, decoder=decoder, tolerant=tolerant
    )
    return sampled


def video_length_s(path: Path) -> float:
    """Seconds from the first frame to the end of the last one that the container announces.

    Raises:
        VideoError: The file cannot be read as a video.
    """
    announced = announcement(path)
    return announced.end_s(len(announced.times))


def segment_bounds(path: Path, segment: Segment, duration_s: float) -> tuple[float, float]:
    """Where a segment of a video begins and ends, in seconds.

    An end up to :data:`ROUNDED_S` behind that of the video is taken for it.

    Raises:
        DataError: It is not inside the video, or does not end after it starts.
    """
    said = f"{segment.name}: " if segment.name else ""
    end_s = duration_s if segment.end_s is None else segment.end_s
    if not segment.start_s >= 0:
        raise DataError(f"{path}: {said}start_s = {segment.start_s:g} is before the first frame.")
    if segment.start_s >= duration_s:
        raise DataError(
            f"{path}: {said}start_s = {segment.start_s:g}, but the video ends at {duration_s:g} s."
        )
    if not end_s <= duration_s + ROUNDED_S:
        raise DataError(f"{path}: {said}end_s = {end_s:g}, but the video ends at {duration_s:g} s.")
    if end_s <= segment.start_s:
        raise DataError(
            f"{path}: {said}end_s = {end_s:g} is not after start_s = {segment.start_s:g}."
        )
    longest_s = math.inf if segment.at_most_s is None else segment.at_most_s
    return segment.start_s, min(end_s, duration_s, segment.start_s + longest_s)


def sample_segments(
    path: Path,
    bounds: Sequence[tuple[float, float]],
    n: int,
    resize: Resize,
    *,
    duration_s: float,
    decoder: str = "pyav",
    tolerant: bool = False,
) -> Iterator[tuple[int, SampledVideo]]:
    """Decode ``n`` frames of each segment, in one pass over the video.

    With one thread: what a damaged video shows must not depend on the machine, and several videos
    are sampled at a time. Memory holds the segments that overlap.

    Args:
        path: The video.
        bounds: Of each segment, see :func:`segment_bounds`.
        n: Frames a segment.
        resize: As for :func:`sample_video`.
        duration_s: Length of the whole video.
        decoder: As for :func:`sample_video`.
        tolerant: As for :func:`sample_video`.

    Yields:
        Number and frames of each segment, in the order in which they are complete.

    Raises:
        ConfigError: There is no such decoder.
        VideoError: The video cannot be read; what was yielded before is then worth nothing.
    """
    asked = np.concatenate([sample_times(n, *bound) for bound in bounds])
    order = np.argsort(asked, kind="stable")
    waiting = [_Waiting(n, duration_s) for _ in bounds]
    with open_video(path, decoder=decoder, threads=1) as video:
        source_index, image = -1, np.zeros(0, np.uint8)
        for place, sample in zip(order.tolist(), video.at(asked[order].tolist()), strict=True):
            if sample.source_index != source_index:
                source_index, image = sample.source_index, sample.rgb(resize)
            segment = waiting[place // n]
            segment.take(image, sample.pts_s, source_index)
            if segment.complete:
                if not tolerant:
                    refuse_damage(path, video)
                yield place // n, segment.sampled()
        if not tolerant:
            refuse_damage(path, video)


class _Waiting:
    """A segment of which not all frames have been decoded."""

    def __init__(self, n: int, duration_s: float) -> None:
        self._n, self._duration_s = n, duration_s
        self._images: list[NDArray[np.uint8]] = []
        self._pts_s: list[float] = []
        self._source_index: list[int] = []

    @property
    def complete(self) -> bool:
        return len(self._images) == self._n

    def take(self, image: NDArray[np.uint8], pts_s: float, source_index: int) -> None:
        self._images.append(image)
        self._pts_s.append(pts_s)
        self._source_index.append(source_index)

    def sampled(self) -> SampledVideo:
        """All of it; the pictures are given away."""
        images, self._images = self._images, []
        return SampledVideo(
            np.stack(images),
            np.array(self._pts_s, dtype=np.float64),
            np.array(self._source_index, dtype=np.int64),
            self._duration_s,
        )


def refuse_damage(path: Path, video: VideoReader) -> None:
    """Raise the error of a video that has turned out to be damaged.

    Raises:
        VideoError: It has.
    """
    if video.damage is not None:
        raise VideoError(f"{path}: {video.damage.message}.", reason=video.damage.reason)

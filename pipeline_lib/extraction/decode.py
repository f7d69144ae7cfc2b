"""One video, decoded once for every network that wants to see it."""

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.errors import VideoError
from pipeline_lib.extraction.schedule import (
    FrameTimes,
    Grid,
    Moment,
    Stream,
    clip_bounds,
    moments,
)
from pipeline_lib.fingerprint import sha256_file
from pipeline_lib.video.decoders.base import DecodedFrame, check_file
from pipeline_lib.video.probe import frame_rate, timestamps
from pipeline_lib.video.reader import VideoReader, open_video
from pipeline_lib.video.scaling import Resize


@dataclass(frozen=True)
class Job:
    """One video to decode.

    Attributes:
        number: Its position in the run; every event carries it.
        path: The file.
        decoder: A name in ``DECODERS``.
        threads: Decoding threads; 0 lets the decoder choose.
        tolerant: A damaged video gives what can be read instead of failing.
        streams: What the networks want to see, without duplicates.
    """

    number: int
    path: Path
    decoder: str
    threads: int
    tolerant: bool
    streams: tuple[Stream, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON types, for another process."""
        return {**asdict(self), "path": str(self.path)}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Job":
        """The inverse of :meth:`as_dict`."""
        streams = tuple(
            Stream(Resize(**s["resize"]), Grid(**s["grid"]), s["frames_per_clip"])
            for s in content["streams"]
        )
        return cls(**{**content, "path": Path(content["path"]), "streams": streams})


@dataclass(frozen=True)
class FrameEvent:
    """A frame for the networks of one stream; ``row`` and ``clip`` as in ``Moment``."""

    job: int
    stream: int
    row: bool
    clip: int | None
    image: NDArray[np.uint8]


@dataclass(frozen=True)
class EndEvent:
    """The video is over; ``facts`` go to the features' meta."""

    job: int
    facts: dict[str, Any]


@dataclass(frozen=True)
class FailEvent:
    """The video cannot be used; frames that came before are void."""

    job: int
    reason: str
    message: str


Event = FrameEvent | EndEvent | FailEvent


class Alive:
    """Counts what has been done, so that another thread can tell work from a hang."""

    def __init__(self) -> None:
        self._ticks = 0
        self._reader: VideoReader | None = None

    def tick(self) -> None:
        """One more step is done."""
        self._ticks += 1

    def watch(self, reader: VideoReader) -> None:
        """Frames that ``reader`` has seen count too."""
        self._reader = reader

    def progress(self) -> tuple[int, int]:
        """Changes whenever anything was done."""
        return self._ticks, self._reader.frames if self._reader else 0


@dataclass
class _Images:
    """The pictures of the current frame, each scaled once."""

    frame: DecodedFrame | None = None
    scaled: dict[Resize, NDArray[np.uint8]] = field(default_factory=dict)

    def of(self, frame: DecodedFrame, resize: Resize) -> NDArray[np.uint8]:
        if frame is not self.frame:
            self.frame, self.scaled = frame, {}
        if resize not in self.scaled:
            self.scaled[resize] = frame.rgb(resize)
        return self.scaled[resize]


def decode(job: Job, alive: Alive) -> Iterator[Event]:
    """Hash and decode one video; its last event is the ``EndEvent``.

    Raises:
        VideoError: The video cannot be used; ``reason`` says why.
    """
    digest = _hashed(job.path, alive.tick)
    needs_times = any(stream.needs_frame_times for stream in job.streams)
    frames = FrameTimes(timestamps(job.path), frame_rate(job.path)) if needs_times else None
    alive.tick()
    pending: deque[tuple[int, Moment]] = deque()
    images, clips = _Images(), [0] * len(job.streams)
    with open_video(job.path, decoder=job.decoder, threads=job.threads) as video:
        alive.watch(video)
        for sample in video.until_end(_times(job.streams, frames, pending)):
            _refuse_damage(job, video)
            index, moment = pending.popleft()
            if moment.clip is not None:
                clips[index] = moment.clip + 1
            image = images.of(sample.frame, job.streams[index].resize)
            yield FrameEvent(job.number, index, moment.row, moment.clip, image)
        _refuse_damage(job, video)
        facts = _facts(video) | {"source_sha256": digest, "source_bytes": job.path.stat().st_size}
    bounds = [
        clip_bounds(stream.grid, frames, n)
        if frames is not None and stream.grid.boundaries == "frame_count"
        else None
        for stream, n in zip(job.streams, clips, strict=True)
    ]
    yield EndEvent(job.number, {**facts, "clip_bounds": bounds})


def failure(job: Job, error: VideoError) -> FailEvent:
    """The event that ends a job whose video cannot be used."""
    name = str(job.path)
    message = error.message if name in error.message else f"{name}: {error.message}"
    return FailEvent(job.number, error.reason, message)


def _times(
    streams: tuple[Stream, ...],
    frames: FrameTimes | None,
    pending: deque[tuple[int, Moment]],
) -> Iterator[float]:
    """All moments of all streams in order; what each one is for is appended to ``pending``."""

    def tagged(index: int, stream: Stream) -> Iterator[tuple[int, Moment]]:
        return ((index, moment) for moment in moments(stream, frames))

    several = [tagged(index, stream) for index, stream in enumerate(streams)]
    for index, moment in heapq.merge(*several, key=lambda pair: pair[1].time_s):
        pending.append((index, moment))
        yield moment.time_s


def _refuse_damage(job: Job, video: VideoReader) -> None:
    if job.tolerant or video.damage is None:
        return
    # Not how much is corrupt: decoding stops at the first sign, which threads meet at their pace.
    found = video.damage.message if video.damage.reason == "truncated" else "it is damaged"
    raise VideoError(f"{job.path}: {found}.", reason=video.damage.reason)


def _facts(video: VideoReader) -> dict[str, Any]:
    return {
        "duration_s": video.duration_s,
        "average_fps": video.average_fps,
        "start_s": video.start_s,
        "source_frames": video.frames,
        "decode_errors": video.errors,
        "decoder_version": video.version,
    }


def _hashed(path: Path, tick: Callable[[], None]) -> str:
    check_file(path)
    try:
        return sha256_file(path, tick)
    except OSError as error:
        raise VideoError(f"{path}: {error.strerror}.", reason="unreadable") from None

"""The default decoder: PyAV (FFmpeg's libraries)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from pipeline_lib.video.decoders.base import Damage, Wanted
from pipeline_lib.video.decoders.health import Health
from pipeline_lib.video.decoders.pyav_sparse import (
    UnlikeItsIndexError,
    shown_numbers,
    sparse_frames,
    worth_a_look,
)
from pipeline_lib.video.decoders.pyav_stream import TrackReader
from pipeline_lib.video.scaling import Resize, to_rgb
from pipeline_lib.video.structure import broken_layout

# Containers whose header or last packets tell how long the track is, independently of what can be
# decoded. Where much less was shown, the rest is missing.
_KNOWN_LENGTH = frozenset({"avi", "mpegts"})
_MISSING_S, _MISSING_SHARE = 2.0, 0.05


@dataclass
class PyAvFrame:
    """One presented frame, not yet converted to RGB.

    Attributes:
        raw: The decoder's frame.
        pts_s: Seconds since the first presented frame.
        source_index: Index among all presented frames.
    """

    raw: VideoFrame
    pts_s: float
    source_index: int

    @property
    def turns(self) -> int:
        """Quarter turns counter-clockwise that bring the picture upright."""
        return round(self.raw.rotation / 90) % 4

    def rgb(self, resize: Resize | None) -> NDArray[np.uint8]:
        """uint8 [H, W, 3], upright, contiguous."""
        return to_rgb(self.raw, resize, self.turns)


class PyAvDecoder:
    """One open video. Use :func:`open_pyav`.

    Attributes:
        frames: Frames presented so far, those left out included.
        start_s: Container time of the first presented frame; ``None`` before it.
    """

    def __init__(self, path: Path, track: TrackReader) -> None:
        self.path = path
        self.version = f"PyAV {av.__version__}"
        self.frames = 0
        self.start_s: float | None = None
        self._track = track
        self._layout = broken_layout(path, track.container.format.name)
        self._health = self._new_health()
        self._start = 0
        self._end = Fraction(0)
        self._short_by_s = 0.0
        self._wanted: Wanted | None = None

    @property
    def errors(self) -> int:
        """Packets that gave no frame so far, and frames that came out damaged."""
        return self._health.errors

    @property
    def damage(self) -> Damage | None:
        """What has been found wrong so far; ``None`` for a sound video."""
        if self._layout:
            return Damage(*self._layout)
        if self._short_by_s:
            return Damage("truncated", f"its last {self._short_by_s:.1f} s are missing")
        if self.errors:
            return Damage("corrupt", f"{self.errors} packets or frames are damaged")
        return None

    @property
    def duration_s(self) -> float:
        """Seconds from the first presented frame to the end of the last one so far."""
        return float(self._end)

    @property
    def average_fps(self) -> float | None:
        """Presented frames per second of duration so far; ``None`` before the first frame."""
        return self.frames / float(self._end) if self._end else None

    @property
    def declared_fps(self) -> float | None:
        """Average frames per second as the container's header has it."""
        rate = self._track.stream.average_rate
        return float(rate) if rate else None

    def show_only(self, wanted: Wanted) -> None:
        """Allow frames to be left out that are shown at none of the wanted times."""
        self._wanted = wanted

    def __iter__(self) -> Iterator[PyAvFrame]:
        done = 0
        try:
            for frame in self._sparse():
                yield frame
                done = frame.source_index + 1
        except UnlikeItsIndexError:
            self._track.rewind()
        else:
            if done:
                return
        for frame in self._sequential():
            if frame.source_index >= done:
                yield frame

    def _new_health(self) -> Health:
        broadcast = self._track.container.format.name == "mpegts"
        return Health("" if self._track.by_dts else self._track.codec, broadcast)

    def _sparse(self) -> Iterator[PyAvFrame]:
        """The frames shown at the wanted times; none where a sequential pass is as good."""
        wanted = self._wanted
        if wanted is None or self._layout or not worth_a_look(self._track, wanted):
            return
        index = self._track.index()
        if index is None or not index.sound:
            return
        base = self._track.time_base
        numbers = shown_numbers(index, base, wanted)
        for number, raw in sparse_frames(self._track, index, numbers, seek=not wanted.to_end):
            if self.start_s is None:
                self._start, self.start_s = index.times[0], float(index.times[0] * base)
            previous = index.times[number - 1] if number else None
            yield self._present(raw, index.times[number], number, previous)
        if wanted.to_end:
            self._note_missing_end()

    def _sequential(self) -> Iterator[PyAvFrame]:
        previous, number = None, 0
        for raw in self._raw_frames():
            pts = self._track.shown_at(raw, previous)
            if pts is None or (previous is not None and pts <= previous):
                self._health.failed()  # a frame that is shown at no time of its own
                continue
            first = self._health.shown(pts, corrupt=raw.is_corrupt, interlaced=raw.interlaced_frame)
            if previous is None:
                self._start, self.start_s = first, float(first * self._track.time_base)
            yield self._present(raw, pts, number, previous)
            previous, number = pts, number + 1
        self._note_missing_end()

    def _raw_frames(self) -> Iterator[VideoFrame]:
        health = self._health
        for packet in self._track.packets(health.unreadable):
            health.sent(
                packet.pts,
                key=packet.is_keyframe,
                corrupt=packet.is_corrupt,
                shown=not packet.is_discard,
            )
            yield from self._track.decode(packet, health.failed)
        yield from self._track.decode(None, health.failed)
        health.ended()

    def _present(self, raw: VideoFrame, pts: int, number: int, previous: int | None) -> PyAvFrame:
        base = self._track.time_base
        length = base * raw.duration if raw.duration else Fraction(0)
        if not length and self._track.stream.average_rate:
            length = 1 / Fraction(self._track.stream.average_rate)
        if not length and previous is not None:
            length = (pts - previous) * base
        self._end = max(self._end, (pts - self._start) * base + length)
        self.frames = max(self.frames, number + 1)
        return PyAvFrame(raw, float((pts - self._start) * base), number)

    def _note_missing_end(self) -> None:
        stream, container = self._track.stream, self._track.container
        if container.format.name not in _KNOWN_LENGTH or not stream.duration:
            return
        base = self._track.time_base
        declared = ((stream.start_time or 0) + stream.duration - self._start) * base
        if declared - self._end > max(_MISSING_S, _MISSING_SHARE * declared):
            self._short_by_s = float(declared - self._end)


@contextmanager
def open_pyav(path: Path, threads: int = 0) -> Iterator[PyAvDecoder]:
    """Open a video for one pass.

    Args:
        path: The file.
        threads: Decoding threads; 0 lets FFmpeg choose.

    Raises:
        VideoError: The file is missing, empty, no video container, has no video track (cover art
            is no video track), or declares an absurd picture size; ``reason`` says which.
    """
    with TrackReader(path, threads) as track:
        yield PyAvDecoder(path, track)

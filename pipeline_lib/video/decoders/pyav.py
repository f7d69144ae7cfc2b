"""Sequential decoding with PyAV (FFmpeg's libraries), tolerant of corrupt packets.

Packets are decoded one by one, so that a corrupt one costs itself and not the rest of the file:
this recovers what the ffmpeg command line recovers, with the right timestamps.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from pipeline_lib.errors import VideoError
from pipeline_lib.video.decoders.base import Damage, check_file
from pipeline_lib.video.scaling import Resize, to_rgb

# A demuxer that fails this often in a row makes no progress any more.
_MAX_DEMUX_ERRORS = 16


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

    def rgb(self, resize: Resize | None) -> NDArray[np.uint8]:
        """uint8 [H, W, 3], upright, contiguous."""
        return to_rgb(self.raw, resize, round(self.raw.rotation / 90) % 4)


class PyAvDecoder:
    """One open video. Use :func:`open_pyav`.

    Attributes:
        errors: Packets skipped so far because they could not be decoded.
        frames: Frames presented so far.
        start_s: Container time of the first presented frame; ``None`` before it.
    """

    def __init__(self, path: Path, container: InputContainer, stream: VideoStream) -> None:
        self.path = path
        self.version = f"PyAV {av.__version__}"
        self.errors = 0
        self.frames = 0
        self.start_s: float | None = None
        self._container = container
        self._stream = stream
        self._time_base = Fraction(stream.time_base or Fraction(1, 1_000_000))
        self._start: Fraction | None = None
        self._end = Fraction(0)

    @property
    def damage(self) -> Damage | None:
        """What has been found wrong so far; ``None`` for a sound video."""
        if not self.errors:
            return None
        return Damage("corrupt", f"{self.errors} packets could not be decoded")

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
        return float(self._stream.average_rate) if self._stream.average_rate else None

    def __iter__(self) -> Iterator[PyAvFrame]:
        previous = None
        for raw in self._decode():
            if raw.pts is None:
                self.errors += 1
                continue
            pts = raw.pts * self._time_base
            if previous is not None and pts <= previous:
                self.errors += 1  # a frame that is shown at no time of its own
                continue
            if self._start is None:
                self._start, self.start_s = pts, float(pts)
            self._end = pts - self._start + self._length(raw, pts, previous)
            previous = pts
            yield PyAvFrame(raw, float(pts - self._start), self.frames)
            self.frames += 1

    def packet_times(self) -> list[Fraction] | None:
        """Container times of all presented frames, ascending, without decoding; rewinds after.

        Returns:
            ``None`` where the container stores no presentation times.
        """
        times: set[Fraction] = set()
        complete = True
        for packet in self._packets():
            if packet.is_discard:
                continue
            if packet.pts is None:
                complete = False
                break
            times.add(packet.pts * packet.time_base)
        self._container.seek(0)
        self.errors = 0
        return sorted(times) if complete else None

    def _length(self, raw: VideoFrame, pts: Fraction, previous: Fraction | None) -> Fraction:
        if raw.duration:
            return raw.duration * self._time_base
        if self._stream.average_rate:
            return 1 / Fraction(self._stream.average_rate)
        return pts - previous if previous is not None else Fraction(0)

    def _decode(self) -> Iterator[VideoFrame]:
        for packet in self._packets():
            yield from self._frames_of(packet)
        yield from self._frames_of(None)

    def _packets(self) -> Iterator[av.Packet]:
        failures = 0
        while failures < _MAX_DEMUX_ERRORS:
            try:
                for packet in self._container.demux(self._stream):
                    failures = 0
                    if packet.size:
                        yield packet
                return
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                self.errors += 1
                failures += 1

    def _frames_of(self, packet: av.Packet | None) -> list[VideoFrame]:
        try:
            return self._stream.codec_context.decode(packet)
        except av.error.EOFError:
            return []
        except av.error.FFmpegError:
            self.errors += 1
            return []


@contextmanager
def open_pyav(path: Path, threads: int = 0) -> Iterator[PyAvDecoder]:
    """Open a video for one sequential pass.

    Args:
        path: The file.
        threads: Decoding threads; 0 lets FFmpeg choose.

    Raises:
        VideoError: The file is missing, empty, no video container, or has no video track
            (cover art is no video track); ``reason`` says which.
    """
    check_file(path)
    try:
        container = av.open(str(path), metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise VideoError(
            f"{path}: not a readable video ({_words(error)}).",
            reason="unreadable",
            hint="Check that it plays; re-download or re-encode it.",
        ) from None
    with container:
        stream = _video_stream(path, container)
        stream.codec_context.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        yield PyAvDecoder(path, container, stream)


def _video_stream(path: Path, container: InputContainer) -> VideoStream:
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            if stream.codec_context is None:
                raise VideoError(
                    f"{path}: its video codec is unknown to this FFmpeg.", reason="unreadable"
                )
            return stream
    raise VideoError(
        f"{path}: has no video track.",
        reason="no_video_stream",
        hint="Remove it from the videos folder, or list it under data.exclude.",
    )


def _words(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return text.strip().rstrip(".")

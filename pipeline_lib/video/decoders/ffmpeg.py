"""The ffmpeg command line in a process of its own: a crash or a leak there stays there.

It sends raw pictures in the NUT format, which carries exact times, in the video's own pixel format,
so that they are converted and scaled as PyAV's are (but for where the chroma samples sit, which raw
pictures do not tell: 0.1 of 255 on average). Like PyAV it goes on behind a damaged packet.
"""

import os
import subprocess
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from shutil import which
from tempfile import TemporaryFile
from typing import IO, cast

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from pipeline_lib.errors import ConfigError
from pipeline_lib.video.announcement import Announcement, announcement
from pipeline_lib.video.container import file_url
from pipeline_lib.video.decoders.base import Damage
from pipeline_lib.video.scaling import MAX_PIXELS, Resize, to_rgb

_REMEDY = "Install it (apt-get install ffmpeg, version 5.1 or later), or use --decoder pyav."


@dataclass
class FfmpegFrame:
    """One presented frame, not yet converted to RGB."""

    raw: VideoFrame
    turns: int
    pts_s: float
    source_index: int

    def rgb(self, resize: Resize | None) -> NDArray[np.uint8]:
        """uint8 [H, W, 3], upright, contiguous."""
        return to_rgb(self.raw, resize, self.turns)


class _Messages:
    """What ffmpeg writes about faults; its last state outlives the file."""

    def __init__(self) -> None:
        self.file = TemporaryFile()  # noqa: SIM115  # __exit__ closes it
        self._lines: list[str] = []

    def lines(self) -> list[str]:
        """All lines so far; the place where ffmpeg writes on is not moved."""
        if not self.file.closed:
            content = os.pread(self.file.fileno(), 1_000_000, 0)
            self._lines = content.decode(errors="replace").splitlines()
        return self._lines

    def __enter__(self) -> "_Messages":
        return self

    def __exit__(self, *_: object) -> None:
        self.lines()
        self.file.close()


class FfmpegDecoder:
    """One open video. Use :func:`open_ffmpeg`.

    Attributes:
        frames: Frames presented so far.
        start_s: Container time of the first presented frame; ``None`` before it.
    """

    def __init__(
        self,
        version: str,
        announced: Announcement,
        pictures: InputContainer,
        messages: _Messages,
    ) -> None:
        self.path = announced.path
        self.version = version
        self.frames = 0
        self.start_s: float | None = None
        self._announced = announced
        self._pictures = pictures
        self._messages = messages
        self._reached = 0

    @property
    def errors(self) -> int:
        """Announced frames that did not come so far, or faults that ffmpeg told of, if more."""
        lost = self._reached - self.frames
        edge = 3 if self._announced.container == "mpegts" else 0  # a broadcast is cut anywhere
        return max(lost, len(self._messages.lines()) - edge, 0)

    @property
    def damage(self) -> Damage | None:
        """What has been found wrong so far; ``None`` for a sound video."""
        if self._announced.layout:
            return self._announced.layout
        if self.errors:
            lost, told = self._reached - self.frames, self._messages.lines()
            return Damage(
                "corrupt", f"{lost} frames are lost; {told[0] if told else 'no reason given'}"
            )
        return None

    @property
    def duration_s(self) -> float:
        """Seconds from the first presented frame to the end of the last one so far."""
        return self._announced.end_s(self._reached)

    @property
    def average_fps(self) -> float | None:
        """Presented frames per second of duration so far; ``None`` before the first frame."""
        return self.frames / self.duration_s if self.duration_s else None

    def __iter__(self) -> Iterator[FfmpegFrame]:
        announced = self._announced
        self.start_s = float(announced.times[0])
        offset = None if announced.by_dts else Fraction(0)
        for raw in self._pictures.decode(self._pictures.streams.video[0]):
            if raw.pts is None or raw.time_base is None:
                announced.refuse(self.version, "sends a frame without a time")
            time = raw.pts * raw.time_base
            offset = time - announced.times[0] if offset is None else offset
            number = self._find(time - offset)
            if number is None:
                continue
            raw.color_range, raw.colorspace = announced.color_range, announced.colorspace
            self.frames += 1
            yield FfmpegFrame(raw, announced.turns, announced.pts_s(number), self.frames - 1)
        self._reached = len(announced.times)

    def _find(self, time: Fraction) -> int | None:
        """The number of the announced frame shown at ``time``; ``None`` for one that comes late."""
        number = bisect_left(self._announced.times, time)
        if number == len(self._announced.times) or self._announced.times[number] != time:
            self._announced.refuse(
                self.version, f"shows a frame at {float(time):.4f} s, where the packets have none"
            )
        if number < self._reached:
            return None
        self._reached = number + 1
        return number


@contextmanager
def open_ffmpeg(path: Path, threads: int = 0) -> Iterator[FfmpegDecoder]:
    """Decode a video with the ffmpeg command line.

    Args:
        path: The file.
        threads: Decoding threads; 0 lets ffmpeg choose.

    Raises:
        VideoError: The file is no video, or ffmpeg gives nothing for it.
        ConfigError: ffmpeg is not installed.
    """
    program = which("ffmpeg")
    if program is None:
        raise ConfigError("decoder ffmpeg: ffmpeg is not installed.", hint=_REMEDY)
    announced = announcement(path)
    version = _version(program)
    with _Messages() as messages, _running(program, announced, threads, messages.file) as output:
        try:
            pictures = av.open(output, "r", format="nut")
        except av.error.FFmpegError:
            told = messages.lines() or ["nothing came"]
            announced.refuse(version, f"does not decode it ({told[-1][:120]})")
        with pictures:
            yield FfmpegDecoder(version, announced, pictures, messages)


@contextmanager
def _running(
    program: str, announced: Announcement, threads: int, messages: IO[bytes]
) -> Iterator[IO[bytes]]:
    with subprocess.Popen(
        _command(program, announced, threads),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=messages,
    ) as process:
        try:
            yield cast(IO[bytes], process.stdout)
        finally:
            process.kill()


def _version(program: str) -> str:
    told = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stdout
    words = told.split()
    return " ".join(words[:3:2]) if words[:2] == ["ffmpeg", "version"] else "ffmpeg"


def _command(program: str, announced: Announcement, threads: int) -> list[str]:
    reading = ["-noautorotate", "-max_pixels", str(MAX_PIXELS), "-threads", str(threads)]
    timing = ["-fps_mode", "passthrough", "-enc_time_base", "-1"]
    return [
        *(program, "-nostdin", "-v", "error", "-copyts"),
        *reading,
        *("-protocol_whitelist", "file", "-i", file_url(announced.path)),
        *("-map", f"0:{announced.stream}", *timing, "-c:v", "rawvideo", "-f", "nut", "-"),
    ]

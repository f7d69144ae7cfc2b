"""Every kind of video file, small, with the frame's number burnt into each picture.

A kind says how a file is written and what is true of it, so that one suite can hold every decoder
against the same facts.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

from tests.support.video_files import numbered_frame, read_number

RATE = 25
VFR_MS = [0, 33, 66, 500, 510, 900, 2000, 2100, 2133, 2166, 2900, 3400, 3433, 3466, 3500, 4400]
NTSC, FILM = Fraction(30000, 1001), Fraction(24000, 1001)
QUIET_X265 = "log-level=none:pools=1:frame-threads=1"


@dataclass(frozen=True)
class Truth:
    """What a file shows.

    Attributes:
        pts_s: Seconds since the first presented frame, ascending.
        numbers: The number burnt into each presented frame.
        turns: Quarter turns counter-clockwise that players apply.
        tick_s: The resolution of the container's clock.
    """

    pts_s: np.ndarray
    numbers: list[int]
    turns: int = 0
    tick_s: float = 1e-3

    def number_at(self, time_s: float) -> int:
        shown = int(np.searchsorted(self.pts_s - 1e-4, time_s, side="right")) - 1
        return self.numbers[max(0, shown)]

    def read(self, frame: np.ndarray) -> int:
        """The number in a decoded frame, whichever way up the track was stored."""
        return read_number(np.rot90(frame, -self.turns))


def encode(
    path: Path | io.BytesIO,
    ticks: list[int],
    time_base: Fraction,
    *,
    codec: str = "libx264",
    rate: Fraction | int = RATE,
    size: tuple[int, int] = (256, 96),
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    muxer: dict[str, str] | None = None,
    container_format: str | None = None,
    rotation: int = 0,
    gop: int = 12,
    extra: Callable | None = None,
    interlaced: bool = False,
) -> None:
    """Write frames 0, 1, … shown at ``ticks``."""
    target = path if isinstance(path, io.BytesIO) else str(path)
    with av.open(target, "w", format=container_format, options=muxer or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format
        stream.time_base = stream.codec_context.time_base = time_base
        stream.gop_size = gop
        if interlaced:
            stream.codec_context.flags |= 0x00040000 | 0x20000000  # interlaced DCT and motion
        if rotation:
            stream.set_display_rotation(rotation)
        finish = extra(container) if extra else None
        for number, tick in enumerate(ticks):
            frame = av.VideoFrame.from_ndarray(numbered_frame(number, *size), format="rgb24")
            frame.pts, frame.time_base = tick, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if finish:
            finish()


def steady(count: int = 60, rate: Fraction | int = RATE, **options) -> Callable[[Path], Truth]:
    """A constant frame rate."""

    def make(path: Path) -> Truth:
        encode(path, list(range(count)), 1 / Fraction(rate), rate=rate, **options)
        turns = round(options.get("rotation", 0) / 90) % 4
        tick = 1 / float(rate) if path.suffix == ".avi" else 1e-3
        return Truth(np.arange(count) / float(rate), list(range(count)), turns, tick)

    return make


def at_ms(times: list[int], **options) -> Callable[[Path], Truth]:
    """Frames at given milliseconds."""

    def make(path: Path) -> Truth:
        encode(path, times, Fraction(1, 1000), **options)
        return Truth((np.array(times) - times[0]) / 1000, list(range(len(times))))

    return make


def with_hidden_start(hidden: int, count: int = 60) -> Callable[[Path], Truth]:
    """A cut without re-encoding: an edit list hides the frames between key frame and cut."""

    def make(path: Path) -> Truth:
        whole = path.with_name("whole_" + path.name)
        encode(whole, list(range(count)), Fraction(1, RATE), gop=30)
        with av.open(str(whole)) as source, av.open(str(path), "w") as target:
            original = source.streams.video[0]
            copy = target.add_stream_from_template(original)
            for packet in source.demux(original):
                if packet.dts is None:
                    continue
                shift = round(hidden / RATE / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = copy
                target.mux(packet)
        numbers = list(range(hidden, count))
        return Truth(np.arange(len(numbers)) / RATE, numbers)

    return make


def from_second_group(open_gop_codec: str, options: dict[str, str]) -> Callable[[Path], Truth]:
    """Packets from the second key frame on, whose leading pictures refer to what is gone."""

    def make(path: Path) -> Truth:
        whole = path.with_name("whole_" + path.name)
        encode(whole, list(range(60)), Fraction(1, RATE), codec=open_gop_codec, options=options)
        first = None
        with av.open(str(whole)) as source, av.open(str(path), "w") as target:
            original = source.streams.video[0]
            copy = target.add_stream_from_template(original)
            keys = 0
            for packet in source.demux(original):
                keys += packet.is_keyframe
                if packet.dts is None or keys < 2:
                    continue
                first = packet.pts * packet.time_base if first is None else first
                packet.stream = copy
                target.mux(packet)
        numbers = list(range(round(first * RATE), 60))
        return Truth(np.arange(len(numbers)) / RATE, numbers)

    return make


def sound(container: av.container.OutputContainer) -> Callable[[], None]:
    """An audio track that lasts longer than the video."""
    stream = container.add_stream("aac", rate=16000)
    stream.layout = "mono"

    def finish() -> None:
        for k in range(100):
            noise = np.random.default_rng(k).normal(0, 0.1, (1, 1024)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(noise, "fltp", "mono")
            frame.sample_rate, frame.pts = 16000, 1024 * k
            container.mux(stream.encode(frame))
        container.mux(stream.encode())

    return finish


def cover_art(container: av.container.OutputContainer) -> Callable[[], None]:
    """A picture that belongs to the file and is no part of the video."""
    stream = container.add_stream("mjpeg", rate=1)
    stream.width, stream.height, stream.pix_fmt = 64, 64, "yuvj420p"
    stream.disposition = Disposition.attached_pic

    def finish() -> None:
        picture = np.full((64, 64, 3), 200, np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode())

    return finish


def live(count: int = 60) -> Callable[[Path], Truth]:
    """Matroska written to a pipe: no sizes, no index."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    def make(path: Path) -> Truth:
        pipe = Pipe()
        encode(
            pipe, list(range(count)), Fraction(1, RATE),
            container_format="matroska", muxer={"live": "1"},
        )  # fmt: skip
        path.write_bytes(pipe.getvalue())
        return Truth(np.arange(count) / RATE, list(range(count)))

    return make


X265 = {"preset": "ultrafast", "x265-params": QUIET_X265}
KINDS: dict[str, Callable[[Path], Truth]] = {
    "h264.mp4": steady(),
    "h264.mkv": steady(),
    "h264.mov": steady(),
    "h264.flv": steady(),
    "h264.3gp": steady(),
    "h264.ts": steady(),
    "h264.avi": steady(),
    "h264_444.mp4": steady(pixel_format="yuv444p"),
    "h264_10bit.mp4": steady(pixel_format="yuv420p10le"),
    "h264_full_range.mp4": steady(pixel_format="yuvj420p"),
    "h264_intra.mp4": steady(gop=1),
    "hevc.mkv": steady(codec="libx265", options=X265),
    "hevc_10bit.mp4": steady(codec="libx265", pixel_format="yuv420p10le", options=X265),
    "hevc.ts": steady(codec="libx265", options=X265),
    "vp8.webm": steady(codec="libvpx", options={"auto-alt-ref": "1", "lag-in-frames": "16"}),
    "vp9.webm": steady(codec="libvpx-vp9", options={"cpu-used": "8", "lag-in-frames": "16"}),
    "av1.mp4": steady(codec="libsvtav1", options={"preset": "8", "crf": "20"}),
    "av1.mkv": steady(codec="libsvtav1", options={"preset": "8", "crf": "20"}),
    "mpeg4.avi": steady(codec="mpeg4"),
    "mpeg4_b_frames.avi": steady(codec="mpeg4", options={"bf": "2"}),
    "mpeg2.mpg": steady(codec="mpeg2video", options={"bf": "2"}),
    "mpeg2.ts": steady(codec="mpeg2video", options={"bf": "2"}),
    "wmv2.wmv": steady(codec="wmv2"),
    "mjpeg.avi": steady(codec="mjpeg", pixel_format="yuvj420p"),
    "vfr.mp4": at_ms(VFR_MS),
    "vfr.mkv": at_ms(VFR_MS),
    "vfr.webm": at_ms(VFR_MS, codec="libvpx-vp9", options={"cpu-used": "8"}),
    "ntsc.mp4": steady(90, NTSC),
    "ntsc.mkv": steady(90, NTSC),
    "film.mp4": steady(72, FILM),
    "odd_size.mp4": steady(size=(401, 225), pixel_format="yuv444p"),
    "odd_size.webm": steady(size=(401, 225), codec="libvpx-vp9", options={"cpu-used": "8"}),
    "one_frame.mp4": steady(1),
    "one_frame.mkv": steady(1),
    "rotated_90.mp4": steady(rotation=90),
    "rotated_180.mp4": steady(rotation=180),
    "rotated_270.mov": steady(rotation=-90),
    "edit_list.mp4": with_hidden_start(20),
    "offset.mkv": at_ms([5000 + t for t in VFR_MS]),
    "offset.ts": at_ms([5000 + 40 * t for t in range(60)]),
    "audio.mp4": steady(extra=sound),
    "audio.mkv": steady(extra=sound),
    "audio.ts": steady(extra=sound),
    "cover_art.mp4": steady(extra=cover_art),
    "b_frames_open_gop.mp4": steady(options={"bf": "3", "x264-params": "open-gop=1"}),
    "b_frames_open_gop.mkv": steady(options={"bf": "3", "x264-params": "open-gop=1"}),
    "hevc_open_gop.mp4": steady(
        codec="libx265",
        options={"preset": "ultrafast", "x265-params": QUIET_X265 + ":open-gop=1:bframes=3"},
    ),
    "cut_open_gop.mkv": from_second_group(
        "libx264", {"bf": "3", "x264-params": "open-gop=1:keyint=12"}
    ),
    "cut_open_gop_hevc.mkv": from_second_group(
        "libx265",
        {"preset": "ultrafast", "x265-params": QUIET_X265 + ":open-gop=1:bframes=3:keyint=12"},
    ),
    "interlaced.mp4": steady(options={"x264-params": "tff=1"}),
    "interlaced_mpeg2.ts": steady(codec="mpeg2video", interlaced=True),
    "fragmented.mp4": steady(muxer={"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    "live.mkv": live(),
}

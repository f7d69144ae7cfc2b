"""Real video files whose frames carry their own number, written for the tests."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BITS = 12
CELL = 16


def numbered_frame(number: int, width: int = 256, height: int = 96) -> np.ndarray:
    """A grey frame with ``number`` as black and white cells: uint8 [height, width, 3]."""
    frame = np.full((height, width, 3), 128, np.uint8)
    for bit in range(BITS):
        white = number >> bit & 1
        left = CELL * (bit + 1)
        frame[CELL : 2 * CELL, left : left + CELL] = 255 * white
    frame[3 * CELL : 4 * CELL, CELL : 2 * CELL] = (255, 0, 0)
    return frame


def read_number(frame: np.ndarray) -> int:
    """The number burnt into a decoded frame."""
    row = frame[CELL + CELL // 2].astype(int).mean(axis=1)
    cells = [row[CELL * (bit + 1) + CELL // 2] > 128 for bit in range(BITS)]
    return sum(1 << bit for bit, white in enumerate(cells) if white)


def write_video(
    path: Path,
    pts: Sequence[int],
    *,
    time_base: Fraction = Fraction(1, 1000),
    rate: Fraction | int = 25,
    size: tuple[int, int] = (256, 96),
    codec: str = "libx264",
    rotation: int = 0,
    gop: int = 12,
    pixel_format: str = "yuv420p",
) -> Path:
    """Encode frames 0, 1, … at the given ``pts`` (in units of ``time_base``)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format
        stream.time_base = stream.codec_context.time_base = time_base
        stream.gop_size = gop
        if rotation:
            stream.set_display_rotation(rotation)
        for number, time in enumerate(pts):
            frame = av.VideoFrame.from_ndarray(numbered_frame(number, *size), format="rgb24")
            frame.pts, frame.time_base = time, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def constant_rate(path: Path, frames: int, rate: Fraction | int = 25, **options) -> Path:
    """A video of constant frame rate."""
    rate = Fraction(rate)
    return write_video(path, range(frames), time_base=1 / rate, rate=rate, **options)


def garbage(path: Path) -> Path:
    """A file named like a video that is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(range(256)) * 40)
    return path


def textured(
    path: Path,
    frames: int,
    *,
    size: tuple[int, int] = (640, 360),
    gop: int = 250,
    encoder: dict[str, str] | None = None,
) -> Path:
    """A numbered video whose lower part moves, so that its packets are as large as a film's."""
    width, height = size
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 255, (height // 4, width // 2, 3), dtype=np.uint8)
    texture = texture.repeat(4, axis=0).repeat(4, axis=1)
    muxer = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=muxer) as container:
        stream = container.add_stream("libx264", rate=30, options=encoder or {})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.gop_size = gop
        for number in range(frames):
            picture = numbered_frame(number, width, height)
            left = 3 * number % width
            picture[96:] = texture[96:height, left : left + width]
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path

"""The torchcodec library: on the GPU (NVDEC) where torch sees one, otherwise on the CPU.

It goes straight to the frames that are wanted. On MPEG-TS it returns wrong frames without a word,
so that container is refused.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.video.announcement import Announcement, announcement
from pipeline_lib.video.decoders.announced import AnnouncedDecoder, first_line, library

_REMEDY = (
    "Install a torchcodec that fits torch, and FFmpeg's libraries (pip install torchcodec; "
    "apt-get install ffmpeg), or use --decoder pyav."
)


class TorchCodecDecoder(AnnouncedDecoder):
    """One open video. Use :func:`open_torchcodec`."""

    def __init__(self, name: str, video: Any, announced: Announcement) -> None:
        super().__init__(name, announced)
        self._video = video
        self._start_s = float(announced.times[0])

    def _take(self) -> bool:
        return self._reached < len(self._announced.times)

    def _time_s(self) -> float | None:
        return None  # each frame's time is checked when it is decoded

    def _convert(self) -> NDArray[np.uint8]:
        number = self._reached - 1
        try:
            frame = self._video.get_frame_at(number)
        except (RuntimeError, IndexError) as error:
            self._announced.refuse(self.version, f"fails at frame {number} ({first_line(error)})")
        self._check_time(number, frame.pts_seconds - self._start_s)
        return np.ascontiguousarray(frame.data.cpu().numpy())


@contextmanager
def open_torchcodec(path: Path, threads: int = 0) -> Iterator[TorchCodecDecoder]:
    """Open a video with torchcodec.

    Args:
        path: The file.
        threads: Decoding threads on the CPU; 0 lets FFmpeg choose.

    Raises:
        VideoError: The file is no video, or torchcodec reads it unlike its packets say.
        ConfigError: torchcodec is not installed, or does not fit torch or FFmpeg.
    """
    torchcodec = library("torchcodec", _REMEDY)
    decoders = library("torchcodec.decoders", _REMEDY)
    torch = library("torch", "pip install torch")
    announced = announcement(path)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = f"torchcodec {torchcodec.__version__} on {device}"
    if announced.container == "mpegts":
        announced.refuse(name, "returns wrong frames from MPEG-TS")
    try:
        video = decoders.VideoDecoder(
            str(path.absolute()),
            stream_index=announced.stream,
            dimension_order="NHWC",
            num_ffmpeg_threads=threads,
            device=device,
            seek_mode="exact",
        )
    except (RuntimeError, ValueError) as error:
        announced.refuse(name, f"does not open it ({first_line(error)})")
    if len(video) != len(announced.times):
        announced.refuse(name, f"counts {len(video)} frames, not {len(announced.times)}")
    yield TorchCodecDecoder(name, video, announced)

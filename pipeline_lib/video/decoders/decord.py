"""The decord library.

It decodes ahead without a limit, and what it has decoded it keeps: the whole video lies in memory
if frames are taken slowly. Videos too large for that are refused, as are MPEG-TS, where it fails
after half a minute, and whatever it counts unlike the packets (it shows the frames that an edit
list hides).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.video.announcement import Announcement, announcement
from pipeline_lib.video.container import file_url
from pipeline_lib.video.decoders.announced import AnnouncedDecoder, first_line, library

MAX_DECODED_BYTES = 2**31


class DecordDecoder(AnnouncedDecoder):
    """One open video. Use :func:`open_decord`."""

    def __init__(self, name: str, reader: Any, announced: Announcement) -> None:
        super().__init__(name, announced)
        self._reader = reader
        self._image: Any = None
        self._starts = reader.get_frame_timestamp(range(len(reader)))[:, 0]

    def _take(self) -> bool:
        try:
            self._image = self._reader.next()
        except StopIteration:
            return False
        except Exception as error:  # noqa: BLE001  # decord raises its own subclasses of Exception
            self._announced.refuse(
                self.version, f"fails at frame {self._reached} ({first_line(error)})"
            )
        return True

    def _time_s(self) -> float | None:
        return float(self._starts[self._reached]) if self._reached < len(self._starts) else None

    def _convert(self) -> NDArray[np.uint8]:
        return np.ascontiguousarray(self._image.asnumpy())


@contextmanager
def open_decord(path: Path, threads: int = 0) -> Iterator[DecordDecoder]:
    """Open a video with decord.

    Args:
        path: The file.
        threads: Decoding threads; 0 lets FFmpeg choose.

    Raises:
        VideoError: The file is no video, or decord cannot be trusted with it.
        ConfigError: decord is not installed.
    """
    decord = library("decord", "pip install decord (Linux on x86-64 only), or use --decoder pyav")
    announced = announcement(path)
    name = f"decord {decord.__version__}"
    if announced.container == "mpegts":
        announced.refuse(name, "cannot read MPEG-TS")
    decoded = len(announced.times) * announced.width * announced.height * 3
    if decoded > MAX_DECODED_BYTES:
        announced.refuse(name, f"may keep all decoded frames in memory ({decoded / 2**30:.0f} GiB)")
    try:
        reader = decord.VideoReader(file_url(path), num_threads=threads)
    except Exception as error:  # noqa: BLE001  # decord raises its own subclasses of Exception
        announced.refuse(name, f"does not open it ({first_line(error)})")
    if len(reader) != len(announced.times):
        announced.refuse(name, f"counts {len(reader)} frames, not {len(announced.times)}")
    yield DecordDecoder(name, reader, announced)

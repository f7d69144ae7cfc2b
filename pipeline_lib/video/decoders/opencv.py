"""OpenCV's decoder: the frames most other scripts see.

It knows no AV1 and stops at the first damaged packet as if the video ended there; both show in the
number of frames, and are refused. Version 5 cannot convert interlaced pictures and hands out an
old one instead without a word, so interlaced videos are refused too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.video.announcement import Announcement, announcement
from pipeline_lib.video.container import file_url
from pipeline_lib.video.decoders.announced import AnnouncedDecoder, library


class OpenCvDecoder(AnnouncedDecoder):
    """One open video. Use :func:`open_opencv`."""

    def __init__(self, cv2: Any, capture: Any, announced: Announcement) -> None:
        super().__init__(f"opencv {cv2.__version__}", announced)
        self._cv2 = cv2
        self._capture = capture

    def _take(self) -> bool:
        return bool(self._capture.grab())

    def _time_s(self) -> float | None:
        time_s = float(self._capture.get(self._cv2.CAP_PROP_POS_MSEC)) / 1000
        # The frames that come out after the last packet may have lost their times.
        return time_s if time_s > 0 or not self._reached else None

    def _convert(self) -> NDArray[np.uint8]:
        found, image = self._capture.retrieve()
        if not found:
            self._announced.refuse(self.version, f"has no picture for frame {self._reached - 1}")
        return np.ascontiguousarray(image[..., ::-1])


@contextmanager
def open_opencv(path: Path, threads: int = 0) -> Iterator[OpenCvDecoder]:
    """Open a video with OpenCV.

    Args:
        path: The file.
        threads: Decoding threads; 0 lets FFmpeg choose.

    Raises:
        VideoError: The file is no video, or OpenCV reads it unlike its packets say.
        ConfigError: OpenCV is not installed.
    """
    cv2 = library("cv2", "pip install opencv-python-headless")
    announced = announcement(path)
    if announced.interlaced:
        announced.refuse(f"opencv {cv2.__version__}", "does not convert interlaced pictures")
    options = [cv2.CAP_PROP_N_THREADS, threads] if threads else []
    capture = cv2.VideoCapture(file_url(path), cv2.CAP_FFMPEG, options)
    try:
        decoder = OpenCvDecoder(cv2, capture, announced)
        if not capture.isOpened():
            announced.refuse(decoder.version, "does not open it")
        yield decoder
    finally:
        capture.release()

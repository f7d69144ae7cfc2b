"""H.264 in mp4, the same bytes for the same frames."""

from collections.abc import Iterable
from pathlib import Path

import av
import cv2
import numpy as np

from pipeline_lib.demo.drawing import Image
from pipeline_lib.demo.timing import Timing
from pipeline_lib.storage.atomic import replacing

# One thread and a fixed preset, because x264's decisions depend on both.
_X264 = {"preset": "veryfast", "crf": "19", "threads": "1"}
_KEYFRAME_EVERY = 48
# Without it the muxer writes the version of its library into the file.
_BITEXACT = {"fflags": "+bitexact"}


def write_mp4(path: Path, frames: Iterable[Image], timing: Timing, size: tuple[int, int]) -> None:
    """Encode ``frames`` at the times of ``timing``.

    Args:
        path: The file.
        frames: uint8 [height, width, 3], RGB, one for each presentation time.
        timing: Presentation times.
        size: Width and height, both even.

    Raises:
        ValueError: There are more or fewer frames than presentation times.
    """
    with replacing(path) as temporary, av.open(str(temporary), "w", options=_BITEXACT) as container:
        stream = container.add_stream("libx264", rate=timing.rate, options=_X264)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.gop_size = _KEYFRAME_EVERY
        stream.codec_context.time_base = timing.time_base
        for pts, image in zip(timing.pts, frames, strict=True):
            planes = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = pts, timing.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())

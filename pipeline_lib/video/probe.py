"""What can be known of a video without decoding it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.video.announcement import announcement
from pipeline_lib.video.decoders.pyav import open_pyav


def timestamps(path: Path) -> NDArray[np.float64]:
    """Presentation times of all frames, in seconds since the first one, read from the packets.

    Nothing is decoded, which is what reading a video mostly costs. Containers that store no
    presentation times (some AVI files) are decoded instead. In a damaged file a frame listed here
    may turn out not to be decodable; reading at its time then gives the frame shown before it.

    Args:
        path: The video.

    Returns:
        float64 [n], ascending, the first one 0.

    Raises:
        VideoError: The file cannot be read as a video, or holds no frame.
    """
    times = announcement(path).times
    return np.array([float(time - times[0]) for time in times], dtype=np.float64)


def frame_rate(path: Path) -> float | None:
    """Frames a second as the container's header has it; ``None`` where it has none.

    Raises:
        VideoError: The file cannot be read as a video.
    """
    with open_pyav(path) as decoder:
        return decoder.declared_fps

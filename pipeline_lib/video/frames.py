"""What reading a video gives."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Frames:
    """Decoded frames of one video, in the order of the requested times.

    Attributes:
        frames: uint8 [N, H, W, 3], RGB, rotation applied.
        pts_s: float64 [N], presentation times in seconds since the first presented frame.
        source_index: int64 [N], index among all presented frames.
        errors: Packets that could not be decoded and were skipped on the way.
    """

    frames: NDArray[np.uint8]
    pts_s: NDArray[np.float64]
    source_index: NDArray[np.int64]
    errors: int

    def __len__(self) -> int:
        return len(self.pts_s)

"""A backbone whose embedding is the number burnt into a frame, as a direction."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pipeline_lib.video.scaling import Resize
from tests.support.video_files import read_number

DEGREES_A_FRAME = 1.0


class NumberBackbone:
    """Frames i and j have the cosine of ``|i - j|`` degrees.

    Attributes:
        batches: Frames in each call of :meth:`encode`.
    """

    dim = 2
    resize = Resize(96)  # the height of the numbered frames: nothing is scaled
    weights_id = weights_sha256 = "number"
    trained = True
    precision = "fp32"
    device = torch.device("cpu")

    def __init__(self, batch_size: int = 4) -> None:
        self.batch_size = batch_size
        self.identity: dict[str, Any] = {}
        self.batches: list[int] = []

    def encode(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        self.batches.append(len(frames))
        angles = np.radians([DEGREES_A_FRAME * read_number(frame) for frame in frames])
        return 7 * np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def cosine(first: int, second: int) -> float:
    """The cosine of the embeddings of frames with these numbers."""
    return float(np.cos(np.radians(DEGREES_A_FRAME * (first - second))))

"""A retrieval model for numbered frames: frame i and "frame j" are |i - j| degrees apart."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from pipeline_lib.backbones.base import Preprocess
from pipeline_lib.video.scaling import Resize
from tests.support.video_files import read_number
from tests.top_frames.number_clip import NumberTokenizer

DIM = 8


class Vectors(NamedTuple):
    video: torch.Tensor
    clips: torch.Tensor
    frames: torch.Tensor


class NumberModel:
    """Stands in for a RetrievalModel.

    Attributes:
        seen: Videos in each call of :meth:`encode_videos`.
    """

    dim = DIM
    # The height of the numbered frames: nothing is scaled.
    preprocess = Preprocess(Resize(96), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    tokenizer = NumberTokenizer()
    device = torch.device("cpu")
    trained = True

    def __init__(self, frames: int = 12, clips: int = 3, version: int = 1) -> None:
        self.frames, self.clips = frames, clips
        self.batch_size = 2 * frames
        self.identity = {"network": "numbers", "version": version, "trained": True}
        self.seen: list[int] = []

    def encode_videos(self, frames: np.ndarray) -> Vectors:
        assert frames.shape[1] == self.frames
        self.seen.append(len(frames))
        numbers = [[read_number(frame) for frame in video] for video in frames]
        rows = torch.from_numpy(np.stack([directions(video) for video in numbers]))
        video = rows.mean(dim=1)
        clips = rows.reshape(len(rows), self.clips, -1, DIM).mean(dim=2)
        return Vectors(video / video.norm(dim=1, keepdim=True), clips, rows)

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        return torch.from_numpy(directions([int(text.split()[1]) for text in texts]))


def directions(numbers: Sequence[int]) -> np.ndarray:
    angles = np.radians(numbers)
    rows = np.zeros((len(numbers), DIM), np.float32)
    rows[:, 0], rows[:, 1] = np.cos(angles), np.sin(angles)
    return rows

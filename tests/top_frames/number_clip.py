"""A CLIP for numbered frames: frame i and the caption "frame j" are |i - j| degrees apart."""

from collections.abc import Sequence

import numpy as np
import torch

from pipeline_lib.video.scaling import Resize
from tests.support.video_files import read_number


class NumberTokenizer:
    """One token a letter, between a start and an end."""

    context_length = 12

    def __call__(self, texts: Sequence[str], context_length: int | None = None) -> torch.Tensor:
        width = context_length or self.context_length
        tokens = torch.zeros(len(texts), width, dtype=torch.long)
        for row, text in zip(tokens, texts, strict=True):
            letters = [1, *(ord(letter) for letter in text)][: width - 1]
            row[: len(letters) + 1] = torch.tensor([*letters, 2])
        return tokens


class NumberClip:
    """Stands in for a ClipBackbone.

    Attributes:
        batches: Frames in each call of :meth:`encode`.
    """

    dim = 2
    frames_per_sample = 1
    resize = Resize(96)  # the height of the numbered frames: nothing is scaled
    weights_id = weights_sha256 = "number"
    trained = True
    precision = "fp32"
    tokenizer = NumberTokenizer()

    def __init__(self, batch_size: int = 4, version: int = 1) -> None:
        self.batch_size = batch_size
        self.identity = {"network": "numbers", "version": version}
        self.batches: list[int] = []

    def encode(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        self.batches.append(len(frames))
        return _directions([read_number(frame) for frame in frames], 7.0)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return _directions([int(text.split()[1]) for text in texts], 3.0)


def _directions(numbers: Sequence[int], length: float) -> np.ndarray:
    angles = np.radians(numbers)
    return (length * np.stack([np.cos(angles), np.sin(angles)], axis=1)).astype(np.float32)

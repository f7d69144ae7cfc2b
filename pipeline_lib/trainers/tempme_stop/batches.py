"""Captions together: their distinct videos, and what belongs together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline_lib.metrics.retrieval import caption_key


@dataclass(frozen=True, kw_only=True)
class Batch:
    """B captions of V distinct videos; everything is on the CPU.

    Attributes:
        texts: Indices of the captions, int64 [B].
        videos: Indices of the videos, int64 [V].
        row_of_text: Row of each caption's video, int64 [B].
        match: Whether caption i belongs to the video of caption j, bool [B, B].
    """

    texts: NDArray[np.int64]
    videos: NDArray[np.int64]
    row_of_text: Tensor
    match: Tensor


class Pairs:
    """Which captions belong to which videos, without a matrix of them all.

    Args:
        texts: Captions.
        video_of_text: int64 [texts].
        equal_captions: Whether a caption belongs to every video with an equal one (``match``) or
            to its own alone (``distinct``).
    """

    def __init__(
        self, texts: Sequence[str], video_of_text: NDArray[np.int64], equal_captions: str
    ) -> None:
        self._video = video_of_text
        self._class: NDArray[np.int64] = np.arange(len(texts), dtype=np.int64)
        if equal_captions == "match" and len(texts):
            keys = [caption_key(text) for text in texts]
            self._class = np.unique(keys, return_inverse=True)[1].astype(np.int64)
        self._videos = int(video_of_text.max(initial=-1)) + 1
        self._known = np.unique(self._class * self._videos + video_of_text)

    def batch(self, texts: NDArray[np.int64]) -> Batch:
        """The batch of ``texts``, which are not empty."""
        videos, rows = np.unique(self._video[texts], return_inverse=True)
        pairs = self._class[texts][:, None] * self._videos + self._video[texts][None]
        return Batch(
            texts=texts,
            videos=videos,
            row_of_text=torch.from_numpy(rows),
            match=torch.from_numpy(np.isin(pairs, self._known)),
        )

    def related(self, texts: NDArray[np.int64], text: np.int64) -> NDArray[np.bool_]:
        """Which of ``texts`` are of the video of ``text`` or say the same, bool [texts]."""
        same_video: NDArray[np.bool_] = self._video[texts] == self._video[text]
        return same_video | (self._class[texts] == self._class[text])

    def batches(self, texts: NDArray[np.int64], size: int) -> Iterator[Batch]:
        """``texts`` in their order, ``size`` at a time; the last batch may be smaller."""
        for start in range(0, len(texts), size):
            yield self.batch(texts[start : start + size])

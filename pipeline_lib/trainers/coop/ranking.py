"""Areas under ROC curves while training: counted in bins, so that no window has to be kept."""

import numpy as np
from numpy.typing import NDArray

# Log odds a bin is wide, and where the outermost bins begin. Above 36, float64 probabilities are 1.
_WIDTH = 1 / 32
_LOWEST, _HIGHEST = -96.0, 36.0
_BINS = round((_HIGHEST - _LOWEST) / _WIDTH) + 1
_CERTAIN = 1 - 1e-16


class BinnedRanking:
    """One-vs-rest ROC of each class by its probability, windows of one bin counting as equal.

    Bins are a thirty-second of log odds wide, so an area has an error far below what a curve on a
    screen shows; an evaluation ranks exactly.

    Args:
        classes: Number of classes C.
    """

    def __init__(self, classes: int) -> None:
        # Windows that are not of the class, and those that are, by bin.
        self._counts = np.zeros((classes, 2, _BINS), dtype=np.int64)

    def add(self, labels: NDArray[np.int64], logits: NDArray[np.float64]) -> None:
        """Count n more windows.

        Args:
            labels: int64 [n].
            logits: float64 [n, C].
        """
        highest = logits.max(axis=1, keepdims=True)
        total = highest + np.log(np.exp(logits - highest).sum(axis=1, keepdims=True))
        log_p = logits - total
        odds = log_p - np.log1p(-np.minimum(np.exp(log_p), _CERTAIN))
        bins = ((np.clip(odds, _LOWEST, _HIGHEST) - _LOWEST) / _WIDTH).astype(np.int64)
        for index, of_class in enumerate(self._counts):
            at = bins[:, index] + _BINS * (labels == index)
            of_class += np.bincount(at, minlength=2 * _BINS).reshape(2, _BINS)

    def macro_auc(self) -> float | None:
        """Mean area over the classes that some windows are of and some are not."""
        others, own = self._counts[:, 0], self._counts[:, 1]
        below = others.cumsum(axis=1) - others / 2
        pairs = own.sum(axis=1) * others.sum(axis=1)
        defined = pairs > 0
        if not defined.any():
            return None
        return float(np.mean((own * below).sum(axis=1)[defined] / pairs[defined]))

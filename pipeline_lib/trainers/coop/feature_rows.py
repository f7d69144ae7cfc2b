"""Rows of a feature matrix that may be larger than memory, handed to the training device."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline_lib.runtime.device import to_device

# Rows that are copied or widened at once.
CHUNK = 16384


class FeatureRows:
    """A matrix [n, D] by rows, on the device where it fits.

    On the CPU it is read where it lies, in memory or in a mapped file, and never copied as a whole.
    A CUDA device gets it once if it takes less than half of the free memory, otherwise batch by
    batch.

    Args:
        matrix: float32 [n, D].
        device: Where batches are wanted.
    """

    def __init__(self, matrix: NDArray[np.float32], device: torch.device) -> None:
        # A plain view: every index into a memmap object would make another one.
        self.matrix = np.asarray(matrix)
        self._device = device
        self._resident: Tensor | None = None
        if device.type == "cuda" and self.matrix.nbytes < torch.cuda.mem_get_info(device)[0] / 2:
            self._resident = _copied(self.matrix, device)

    def __len__(self) -> int:
        return len(self.matrix)

    def take(self, rows: NDArray[np.int64]) -> Tensor:
        """The given rows, float32 [len(rows), D] on the device."""
        if self._resident is not None:
            return self._resident[to_device(rows, self._device)]
        return to_device(np.take(self.matrix, rows, axis=0), self._device)

    def widened(self, start: int, stop: int) -> Tensor:
        """Rows ``start`` to ``stop`` in float64, for measuring; on the CPU where the device has
        no float64.
        """
        if self._resident is not None:
            return self._resident[start:stop].double()
        wide = torch.from_numpy(self.matrix[start:stop].astype(np.float64))
        return wide.to(self._device) if self._device.type == "cuda" else wide


def _copied(matrix: NDArray[np.float32], device: torch.device) -> Tensor:
    """The matrix on ``device``, piece by piece, so that no copy of it is made here."""
    resident = torch.empty(matrix.shape, dtype=torch.float32, device=device)
    for start in range(0, len(matrix), CHUNK):
        piece = matrix[start : start + CHUNK].copy()
        resident[start : start + CHUNK] = torch.from_numpy(piece)
    return resident

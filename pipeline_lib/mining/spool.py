"""Pixels of frames that may be wanted soon."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Frames of one video: 390 of 720p.
BUDGET_BYTES = 1 << 30


class Spool:
    """Full pictures on disk, as many as fit into a budget; the others have to be decoded again.

    Args:
        folder: An empty folder.
        budget_bytes: Most bytes it holds.
    """

    def __init__(self, folder: Path, budget_bytes: int = BUDGET_BYTES) -> None:
        self._folder = folder
        self._left = budget_bytes

    def keep(self, position: int, image: NDArray[np.uint8]) -> None:
        """Keep a picture if there is room for it."""
        if image.nbytes <= self._left:
            self._left -= image.nbytes
            content = io.BytesIO()  # numpy's own writing does not say that a disk is full
            np.save(content, image, allow_pickle=False)
            self._file(position).write_bytes(content.getbuffer())

    def load(self, position: int) -> NDArray[np.uint8] | None:
        """A picture that was kept, or ``None``."""
        file = self._file(position)
        if not file.exists():
            return None
        image: NDArray[np.uint8] = np.load(file, allow_pickle=False)
        return image

    def _file(self, position: int) -> Path:
        return self._folder / f"{position}.npy"

"""A figure drawn on in pixels: without matplotlib's axes, which cost most of a small picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.transforms import IdentityTransform

from pipeline_lib.pictures.figures import INK, new_figure, plain_texts, save_png
from pipeline_lib.pictures.time_bars import rectangles

_DPI = 100


class PixelBoard:
    """One figure reused for many pictures; (0, 0) is its lower left corner.

    What is drawn later covers what was drawn before, but texts cover all.

    Args:
        width: In pixels.
    """

    def __init__(self, width: float) -> None:
        self._width = width
        self._figure = new_figure(width / _DPI, 1.0, _DPI)
        self._pixels = IdentityTransform()

    def clear(self, height: float) -> None:
        """An empty picture ``height`` pixels high."""
        self._figure.clear()
        self._figure.set_size_inches(self._width / _DPI, height / _DPI)

    def text(self, x: float, y: float, words: str, **style: Any) -> None:
        """Words at a point, by default vertically centred on it and to its right."""
        style = {"va": "center", "color": INK, "fontsize": 9, **style}
        with plain_texts():
            self._figure.text(x, y, words, transform=self._pixels, **style)

    def lines(self, paths: Sequence[np.ndarray], **style: Any) -> None:
        """Lines through points, each float [n, 2]; NaN interrupts one."""
        self._figure.add_artist(LineCollection(paths, transform=self._pixels, zorder=1, **style))

    def areas(self, corners: np.ndarray, **style: Any) -> None:
        """Filled shapes with the given corners, float [shapes, corners, 2]."""
        style = {"linewidth": 0, **style}
        self._figure.add_artist(
            PolyCollection(list(corners), transform=self._pixels, zorder=1, **style)
        )

    def bars(
        self, left: np.ndarray, right: np.ndarray, low: float, high: float, **style: Any
    ) -> None:
        """Bars of one height, float [n] each."""
        self.areas(rectangles(left, right, low, high), **style)

    def save(self, path: Path, texts: Mapping[str, str] | None = None) -> None:
        """Write the picture, ``texts`` into its file; the same calls give the same bytes."""
        save_png(self._figure, path, texts)

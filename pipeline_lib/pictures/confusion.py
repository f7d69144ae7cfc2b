"""Confusion matrices as pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from pipeline_lib.pictures.figures import (
    INK,
    columns,
    new_figure,
    plain_texts,
    save_png,
    shortened,
)
from pipeline_lib.pictures.fonts import font_families

_LARGEST_NUMBERED = 40
_LONGEST_NAME = 32
# In inches.
_WIDE_CELL, _CELL, _PLAIN_CELL = 0.75, 0.56, 0.3
_MOST_WIDE_CELLS = 8
_SMALLEST_SIDE = 2.2
_LETTER = 0.082  # width of one, at most about
_AXIS_TITLE = 0.55
_TOP = 0.55
_RIGHT = 1.15  # with the scale of colours
_SCALE = 3.0
_NARROWEST = 5.6


def draw_confusion(
    path: Path, counts: np.ndarray, class_names: tuple[str, ...], *, title: str
) -> None:
    """Write a confusion matrix: cells show counts, colours the share of the row's samples.

    The same matrix gives the same bytes. Above 40 classes the cells carry no numbers.

    Args:
        path: The PNG to write.
        counts: Rows are actual classes, columns predicted ones, int [C, C].
        class_names: The C names.
        title: Text above the matrix.
    """
    names = [shortened(name.replace("_", " "), _LONGEST_NAME) for name in class_names]
    rows = [f"{name} ({n})" for name, n in zip(names, counts.sum(axis=1), strict=True)]
    side = _side(len(names))
    left = _AXIS_TITLE + _LETTER * max(map(columns, rows))
    # The names below lean by 45 degrees.
    bottom = _AXIS_TITLE + _LETTER * max(map(columns, names)) * np.sqrt(0.5)
    width, height = max(left + side + _RIGHT, _NARROWEST), bottom + side + _TOP
    figure = new_figure(width, height, dpi=120)
    fonts = font_families([*names, title])
    with plain_texts():
        axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
        image = _draw_shares(axes, counts, names, rows, fonts)
        if len(names) <= _LARGEST_NUMBERED:
            _draw_counts(axes, counts)
        corner = ((left + side + 0.2) / width, bottom / height)
        scale = figure.add_axes((*corner, 0.16 / width, min(side, _SCALE) / height))
        figure.colorbar(image, cax=scale, label="share of the actual class")
        scale.tick_params(labelsize=9)
        figure.text(0.15 / width, 1 - 0.25 / height, title, va="center", fontsize=11, family=fonts)
    save_png(figure, path)


def _draw_shares(
    axes: Axes, counts: np.ndarray, names: Sequence[str], rows: Sequence[str], fonts: Sequence[str]
) -> AxesImage:
    """Coloured cells, and the names of columns and rows."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    family, ticks = list(fonts), range(len(names))
    axes.set_xticks(
        ticks,
        names,
        family=family,
        fontsize=9,
        rotation=45,
        ha="right",
        rotation_mode="anchor",
    )
    axes.set_yticks(ticks, rows, family=family, fontsize=9)
    axes.set_xlabel("predicted")
    axes.set_ylabel("actual (samples)")
    return axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)


def _side(classes: int) -> float:
    """Width of the matrix: numbers need room, and few classes are not drawn tiny."""
    if classes > _LARGEST_NUMBERED:
        return _PLAIN_CELL * classes
    if classes > _MOST_WIDE_CELLS:
        return _CELL * classes
    return max(_WIDE_CELL * classes, _SMALLEST_SIDE)


def _draw_counts(axes: Axes, counts: np.ndarray) -> None:
    """Numbers where there are any; the right ones in a frame."""
    samples = counts.sum(axis=1)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if count > 0.5 * samples[row] else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=9)
    for place in range(len(counts)):
        axes.add_patch(
            Rectangle((place - 0.5, place - 0.5), 1, 1, fill=False, edgecolor=INK, linewidth=0.8)
        )

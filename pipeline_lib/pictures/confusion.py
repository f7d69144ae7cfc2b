"""Confusion matrices as pictures."""

import warnings
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline_lib.pictures.fonts import font_families
from pipeline_lib.storage.atomic import replacing

_CELL_INCHES = 0.75
_MARGIN_INCHES = 1.9
_LARGEST_NUMBERED = 40


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
    samples = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(samples, 1)
    size = _MARGIN_INCHES + _CELL_INCHES * len(class_names)
    figure = Figure(figsize=(max(size + 0.6, 5.0), max(size, 4.2)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    fonts = font_families(class_names)
    ticks = range(len(class_names))
    names = [name.replace("_", " ") for name in class_names]
    axes.set_xticks(ticks, names, rotation=45, ha="right", rotation_mode="anchor", family=fonts)
    rows = [f"{name} ({n})" for name, n in zip(names, samples[:, 0], strict=True)]
    axes.set_yticks(ticks, rows, family=fonts)
    axes.set_xlabel("predicted")
    axes.set_ylabel("actual (samples)")
    if len(class_names) <= _LARGEST_NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.5 else "black" if count else "silver"
            axes.text(column, row, str(count), ha="center", va="center", color=colour)
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the actual class")
    figure.suptitle(title, fontsize=11)
    with replacing(path) as temporary, warnings.catch_warnings():
        # Where no installed font has a character a box stands for it; the tables have the name.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        # matplotlib writes its version into the file unless told not to.
        figure.savefig(
            temporary, format="png", dpi=120, bbox_inches="tight", metadata={"Software": None}
        )

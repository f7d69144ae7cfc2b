"""Predicted values over the true ones."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.pictures.figures import (
    BLUE,
    FAINT,
    GREY,
    ORANGE,
    new_figure,
    plain_texts,
    save_png,
)
from pipeline_lib.pictures.fonts import font_families

_MARGIN = 0.06  # around the points, of their range


def draw_value_scatter(
    path: Path, actual: NDArray[Any], predicted: NDArray[Any], title: str, constant: float | None
) -> None:
    """Write a point a video; the same values give the same bytes.

    Args:
        path: The PNG to write.
        actual: True values, float [n], at least one.
        predicted: Float [n].
        title: Text above the points.
        constant: A prediction that is the same for all, drawn as a line; ``None`` draws none.
    """
    both = np.concatenate([actual, predicted, [] if constant is None else [constant]])
    low, high = float(both.min()), float(both.max())
    edge = _MARGIN * ((high - low) or 1.0)
    ends = (low - edge, high + edge)
    figure = new_figure(5.6, 5.6)
    with plain_texts():
        axes = figure.add_axes((0.13, 0.11, 0.82, 0.77))
        axes.plot(ends, ends, color=GREY, linewidth=1.2, label="predicted = actual")
        if constant is not None:
            axes.axhline(
                constant, color=ORANGE, linestyle=(0, (6, 2)), linewidth=1.4,
                label="mean in training",
            )  # fmt: skip
        axes.plot(actual, predicted, "o", color=BLUE, markersize=4.5, alpha=0.6, linewidth=0)
        axes.set_xlim(ends)
        axes.set_ylim(ends)
        axes.set_xlabel("actual value", fontsize=9)
        axes.set_ylabel("predicted value", fontsize=9)
        axes.tick_params(labelsize=9, length=0)
        axes.grid(color=FAINT, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.legend(frameon=False, fontsize=9, loc="upper left")
        figure.text(0.03, 0.94, title, va="center", fontsize=11, family=font_families([title]))
    save_png(figure, path)

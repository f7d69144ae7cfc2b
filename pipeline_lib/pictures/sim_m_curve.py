"""Curves of chosen frames: Sim-m over its threshold, and recall over the number of frames."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from pipeline_lib.pictures.contender_lines import (
    contenders,
    legend_with_values,
    marked_lines,
    percent_frame,
)
from pipeline_lib.pictures.figures import FAINT, new_figure, plain_texts, save_png, shortened
from pipeline_lib.pictures.fonts import font_families

_LONGEST_TITLE = 95
_AXES = (0.085, 0.135, 0.62, 0.745)  # of the figure


def draw_sim_m(
    path: Path, table: pd.DataFrame, title: str, *, thresholds: Sequence[float] = ()
) -> None:
    """Write Sim-m over its threshold; the same table gives the same bytes.

    Args:
        path: The PNG to write.
        table: A column ``m``, ascending, and one a chooser with shares in [0, 1], null where
            undefined; the first of these is drawn thick.
        title: Text above the picture.
        thresholds: Values of m that are reported; each gets a vertical line.

    Raises:
        DataError: There is no column ``m``, none of a chooser, or no row.
    """
    choosers = contenders(table, "m", "chosen frames")
    figure = new_figure(8.6, 4.4)
    with plain_texts():
        axes = figure.add_axes(_AXES)
        low, high = float(table["m"].min()), float(table["m"].max())
        if low < high:
            axes.set_xlim(low, high)
        for m in thresholds:
            axes.axvline(m, color=FAINT, linewidth=0.8, zorder=0)
        percent_frame(
            axes, "m, the smallest cosine that counts as similar", "Sim-m, % of the items"
        )
        lines = [
            axes.plot(table["m"], 100 * values, **style)[0] for values, style in choosers.values()
        ]
        # A mean over the curve's own grid would depend on where that begins.
        reported = sorted(thresholds)[0] if thresholds else low
        at = int(np.abs(table["m"].to_numpy(dtype=float) - reported).argmin())
        legend_with_values(axes, f"Sim-m at m = {reported:g}", lines, choosers, at)
        _title(axes, title)
    save_png(figure, path)


def draw_recall_at_k(path: Path, table: pd.DataFrame, title: str, *, k: int | None = None) -> None:
    """Write recall over the number of chosen frames; the same table gives the same bytes.

    Args:
        path: The PNG to write.
        table: A column ``k``, ascending, and one a chooser with means in [0, 1], null where
            undefined; the first of these is drawn thick.
        title: Text above the picture.
        k: The legend tells the values there; the last row's where the table has no such ``k``.

    Raises:
        DataError: There is no column ``k``, none of a chooser, or no row.
    """
    choosers = contenders(table, "k", "chosen frames")
    figure = new_figure(8.6, 4.4)
    with plain_texts():
        axes = figure.add_axes(_AXES)
        # Counts double more often than they grow by one: equal steps keep the small ones apart.
        places = np.arange(len(table))
        axes.set_xticks(places, [f"{k:g}" for k in table["k"]])
        axes.set_xlim(-0.25, len(table) - 0.75)
        percent_frame(axes, "chosen frames", "recall, % of the support times")
        lines = marked_lines(axes, places, choosers)
        at = list(table["k"]).index(k) if k in list(table["k"]) else -1
        told = table["k"].iloc[at]
        words = f"recall of {told:g} frame{'' if told == 1 else 's'}"
        legend_with_values(axes, words, lines, choosers, at)
        _title(axes, title)
    save_png(figure, path)


def _title(axes: Axes, title: str) -> None:
    figure = axes.figure
    words = shortened(title, _LONGEST_TITLE)
    figure.text(_AXES[0], 0.945, words, va="center", fontsize=11, family=font_families([title]))

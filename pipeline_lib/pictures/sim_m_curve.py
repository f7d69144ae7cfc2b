"""Curves of chosen frames: Sim-m over its threshold, and recall over the number of frames."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from pipeline_lib.errors import DataError
from pipeline_lib.pictures.figures import (
    BLUE,
    FAINT,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    new_figure,
    plain_texts,
    save_png,
    shortened,
)
from pipeline_lib.pictures.fonts import font_families

_MODEL: dict[str, Any] = {"color": BLUE, "linewidth": 2.8, "zorder": 5}
_CONTROLS: tuple[dict[str, Any], ...] = (
    {"color": ORANGE, "linestyle": "-"},
    {"color": GREEN, "linestyle": (0, (6, 2))},
    {"color": GREY, "linestyle": (0, (1.5, 1.5))},
    {"color": PURPLE, "linestyle": (0, (6, 2, 1.5, 2))},
    {"color": VERMILION, "linestyle": (0, (3, 1.5))},
    {"color": SKY, "linestyle": (0, (8, 3))},
)
_THIN = 1.5
_MARKERS = "osD^vPX"
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
    choosers = _choosers(table, "m")
    figure = new_figure(8.6, 4.4)
    with plain_texts():
        axes = figure.add_axes(_AXES)
        low, high = float(table["m"].min()), float(table["m"].max())
        if low < high:
            axes.set_xlim(low, high)
        for m in thresholds:
            axes.axvline(m, color=FAINT, linewidth=0.8, zorder=0)
        _frame(axes, "m, the smallest cosine that counts as similar", "Sim-m, % of the items")
        lines = [
            axes.plot(table["m"], 100 * values, **style)[0] for values, style in choosers.values()
        ]
        # A mean over the curve's own grid would depend on where that begins.
        reported = sorted(thresholds)[0] if thresholds else low
        at = int(np.abs(table["m"].to_numpy(dtype=float) - reported).argmin())
        _legend(axes, f"Sim-m at m = {reported:g}", lines, choosers, at)
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
    choosers = _choosers(table, "k")
    figure = new_figure(8.6, 4.4)
    with plain_texts():
        axes = figure.add_axes(_AXES)
        # Counts double more often than they grow by one: equal steps keep the small ones apart.
        places = np.arange(len(table))
        axes.set_xticks(places, [f"{k:g}" for k in table["k"]])
        axes.set_xlim(-0.25, len(table) - 0.75)
        _frame(axes, "chosen frames", "recall, % of the support times")
        lines = [
            axes.plot(places, 100 * values, marker=marker, markersize=5, **style)[0]
            for marker, (values, style) in zip(_markers(choosers), choosers.values(), strict=True)
        ]
        at = list(table["k"]).index(k) if k in list(table["k"]) else -1
        told = table["k"].iloc[at]
        words = f"recall of {told:g} frame{'' if told == 1 else 's'}"
        _legend(axes, words, lines, choosers, at)
        _title(axes, title)
    save_png(figure, path)


_Choosers = dict[str, tuple[np.ndarray, dict[str, Any]]]


def _choosers(table: pd.DataFrame, axis: str) -> _Choosers:
    """Name to shares and style; the first is the model, the others its controls."""
    if axis not in table:
        raise DataError(f"The table of chosen frames has no column {axis}.")
    names = [name for name in table.columns if name != axis]
    if not names or not len(table):
        raise DataError("The table of chosen frames has nothing to draw.")
    found: _Choosers = {}
    for number, name in enumerate(names):
        control = _CONTROLS[(number - 1) % len(_CONTROLS)]
        style = {"linewidth": _THIN, "zorder": 3, **control} if number else _MODEL
        found[name] = (table[name].to_numpy(dtype=float, na_value=np.nan), style)
    return found


def _markers(choosers: _Choosers) -> list[str]:
    return [_MARKERS[number % len(_MARKERS)] for number in range(len(choosers))]


def _frame(axes: Axes, across: str, upwards: str) -> None:
    axes.set_xlabel(across, fontsize=9)
    axes.set_ylabel(upwards, fontsize=9)
    axes.set_ylim(-1.5, 101.5)
    axes.tick_params(labelsize=9, length=0)
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _legend(
    axes: Axes, title: str, lines: Sequence[Line2D], choosers: Mapping[str, Any], at: int
) -> None:
    words = [f"{name.replace('_', ' ')}: {_percent(v[at])}" for name, (v, _) in choosers.items()]
    legend = axes.legend(
        lines,
        words,
        title=title,
        loc="upper left",
        bbox_to_anchor=(1.03, 1.02),
        alignment="left",
        frameon=False,
        borderaxespad=0.0,
        handlelength=3.4,
        labelspacing=0.9,
        title_fontproperties={"size": 9, "weight": "bold"},
        prop={"family": font_families(words), "size": 9},
    )
    for text in legend.get_texts():
        text.set_color(INK)


def _title(axes: Axes, title: str) -> None:
    figure = axes.figure
    words = shortened(title, _LONGEST_TITLE)
    figure.text(_AXES[0], 0.945, words, va="center", fontsize=11, family=font_families([title]))


def _percent(value: float) -> str:
    return "undefined" if np.isnan(value) else f"{100 * value:.1f} %"

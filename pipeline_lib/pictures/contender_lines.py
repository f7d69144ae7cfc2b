"""Lines of a model and its controls, told apart by colour, dashes and marks."""

from collections.abc import Mapping, Sequence
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

Contenders = dict[str, tuple[np.ndarray, dict[str, Any]]]


def contenders(table: pd.DataFrame, axis: str, of: str) -> Contenders:
    """Name to shares and style; the first is the model, the others its controls.

    Args:
        table: A column ``axis`` and one a contender.
        axis: The column that is none.
        of: What the table is of, for the message.

    Raises:
        DataError: There is no column ``axis``, none of a contender, or no row.
    """
    if axis not in table:
        raise DataError(f"The table of {of} has no column {axis}.")
    names = [name for name in table.columns if name != axis]
    if not names or not len(table):
        raise DataError(f"The table of {of} has nothing to draw.")
    found: Contenders = {}
    for number, name in enumerate(names):
        control = _CONTROLS[(number - 1) % len(_CONTROLS)]
        style = {"linewidth": _THIN, "zorder": 3, **control} if number else _MODEL
        found[name] = (table[name].to_numpy(dtype=float, na_value=np.nan), style)
    return found


def marked_lines(axes: Axes, places: np.ndarray, lines: Contenders) -> list[Line2D]:
    """A line with a mark at each place for each contender, its shares in per cent."""
    return [
        axes.plot(
            places, 100 * values, marker=_MARKERS[number % len(_MARKERS)], markersize=5, **style
        )[0]
        for number, (values, style) in enumerate(lines.values())
    ]


def percent_frame(axes: Axes, across: str, upwards: str) -> None:
    """Names of the axes, the upward one from 0 to 100."""
    axes.set_xlabel(across, fontsize=9)
    axes.set_ylabel(upwards, fontsize=9)
    axes.set_ylim(-1.5, 101.5)
    axes.tick_params(labelsize=9, length=0)
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)


def legend_with_values(
    axes: Axes, title: str, lines: Sequence[Line2D], choosers: Mapping[str, Any], at: int
) -> None:
    """A legend on the right that tells the values at one place."""
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


def _percent(value: float) -> str:
    return "undefined" if np.isnan(value) else f"{100 * value:.1f} %"

"""Recall of text-video retrieval over the number of candidates that are looked at."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline_lib.pictures.contender_lines import (
    contenders,
    legend_with_values,
    marked_lines,
    percent_frame,
)
from pipeline_lib.pictures.figures import new_figure, plain_texts, save_png, shortened
from pipeline_lib.pictures.fonts import font_families

_LONGEST_TITLE = 120
_LEFT, _BOTTOM, _WIDTH, _HEIGHT = 0.05, 0.135, 0.285, 0.70  # of the figure
_STEP = 0.5  # from panel to panel


def draw_retrieval_recall(path: Path, panels: Mapping[str, pd.DataFrame], title: str) -> None:
    """Write two panels of recall at k beside each other; equal tables give equal bytes.

    Args:
        path: The PNG to write.
        panels: What is looked for, such as ``texts find videos``, to a table: a column ``k``,
            ascending, and one a contender with per cents, null where undefined. The first
            contender is drawn thick, and the legend tells all values at the first ``k``.
        title: Text above the picture.

    Raises:
        DataError: A table has no column ``k``, no contender or no row.
    """
    tables = {
        words: (table, contenders(table.assign(**_shares(table)), "k", "recalls"))
        for words, table in panels.items()
    }
    figure = new_figure(14.0, 4.4)
    with plain_texts():
        for number, (words, (table, lines)) in enumerate(tables.items()):
            axes = figure.add_axes((_LEFT + _STEP * number, _BOTTOM, _WIDTH, _HEIGHT))
            # Ranks of interest double rather than grow by one: equal steps keep the first apart.
            places = np.arange(len(table))
            axes.set_xticks(places, [f"{k:g}" for k in table["k"]])
            axes.set_xlim(-0.25, len(table) - 0.75)
            percent_frame(axes, "k, candidates looked at", "R@k, % of the queries")
            axes.set_title(words, fontsize=10, loc="left", fontweight="bold")
            drawn = marked_lines(axes, places, lines)
            legend_with_values(axes, f"R@{table['k'].iloc[0]:g}", drawn, lines, 0)
        shown = shortened(title, _LONGEST_TITLE)
        family = font_families([title])
        figure.text(_LEFT, 0.945, shown, va="center", fontsize=11, family=family)
    save_png(figure, path)


def _shares(table: pd.DataFrame) -> dict[str, pd.Series]:
    """Columns of per cents as shares."""
    return {name: table[name].astype(float) / 100 for name in table.columns if name != "k"}

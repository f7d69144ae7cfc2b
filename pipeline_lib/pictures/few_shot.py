"""Balanced accuracy over the number of training windows a class."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from pipeline_lib.errors import DataError
from pipeline_lib.pictures.figures import (
    BLUE,
    FAINT,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    VERMILION,
    new_figure,
    plain_texts,
    save_png,
    shortened,
    spread,
)
from pipeline_lib.pictures.fonts import font_families

_COLUMNS = ("shots", "model", "mean", "std")
_WHOLE = "all"
_STYLES = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (PURPLE, "D"), (VERMILION, "v"))
_LEVEL_DASHES = ((0, (6, 3)), (0, (2, 2)), (0, (6, 2, 1, 2)), (0, (1, 3)))
_LABEL_PITCH = 4.6  # in per cent
_LONGEST_LABEL = 26
# Models stand side by side, so that error bars do not cover each other.
_ASIDE = 0.05
_LEADER = 0.04  # from the edge to the labels, of the width


@dataclass(frozen=True)
class _Label:
    words: str
    end: tuple[float, float]
    colour: str


def draw_few_shot(path: Path, table: pd.DataFrame, title: str) -> None:
    """Write the few-shot curves of several models; the same table gives the same bytes.

    Args:
        path: The PNG to write.
        table: One row a point: ``shots`` (training windows a class; 0 for what saw none and is
            drawn as a horizontal line: zero-shot, majority, chance; the word ``all`` for the whole
            training set, drawn last), ``model`` (words of its label), ``mean`` and ``std`` of the
            balanced accuracy over the seeds, in [0, 1]; null where undefined. The first model is
            drawn thick.
        title: Text above the picture.

    Raises:
        DataError: A column is missing, ``shots`` is no whole number nor ``all``, or no point is
            defined.
    """
    points = _checked(table)
    curves, levels = points[points["place"] >= 0], points[points["place"] < 0]
    fonts = font_families([title, *points["model"]])
    figure = new_figure(8.6, 4.8)
    with plain_texts():
        axes = figure.add_axes((0.085, 0.13, 0.64, 0.76))
        _frame(axes, curves)
        labels = [*_draw_levels(axes, levels), *_draw_curves(axes, curves)]
        _draw_labels(axes, labels, fonts)
        figure.text(0.085, 0.95, title, va="center", fontsize=11, family=fonts)
    save_png(figure, path)


def _checked(table: pd.DataFrame) -> pd.DataFrame:
    """The defined points in per cent, with their ``place`` on the axis (negative: none)."""
    missing = [column for column in _COLUMNS if column not in table]
    if missing:
        raise DataError(f"The few-shot table has no column {', '.join(missing)}.")
    words = table["shots"].astype(str).str.removesuffix(".0")
    whole = words == _WHOLE
    unknown = words[~whole & ~words.str.fullmatch(r"\d+")]
    if len(unknown):
        raise DataError(
            f"The few-shot table has {unknown.iloc[0]!r} shots.",
            hint=f"Shots are a whole number of windows a class, or {_WHOLE!r}.",
        )
    shots = words.mask(whole, "0").astype(np.int64)
    place = np.where(shots > 0, np.log2(shots.clip(lower=1)), -1.0)
    last = place.max(initial=-1.0)
    points = pd.DataFrame(
        {
            "word": words,
            "place": np.where(whole, last + 1.0, place),
            "model": table["model"].astype(str),
            "mean": 100 * table["mean"].astype(float),
            "std": 100 * table["std"].astype(float).fillna(0.0),
        }
    ).dropna(subset=["mean"])
    if points.empty:
        raise DataError("The few-shot table has no defined point.")
    return points


def _frame(axes: Axes, curves: pd.DataFrame) -> None:
    ticks = curves.drop_duplicates("place").sort_values("place")
    axes.set_xticks(ticks["place"].to_list(), ticks["word"].to_list())
    for word in axes.get_xticklabels():
        word.set_verticalalignment("baseline")
    if len(curves):
        axes.set_xlim(curves["place"].min() - 0.3, curves["place"].max() + 0.3)
    axes.set_ylim(0, 102)
    axes.set_autoscale_on(False)
    axes.set_xlabel("training windows a class", fontsize=9)
    axes.set_ylabel("balanced accuracy, %", fontsize=9)
    axes.tick_params(labelsize=9, length=0)
    axes.tick_params(axis="x", pad=14)
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw_levels(axes: Axes, levels: pd.DataFrame) -> list[_Label]:
    """A horizontal line for each that saw no training window."""
    labels = []
    for number, (model, mean) in enumerate(zip(levels["model"], levels["mean"], strict=True)):
        dashes = _LEVEL_DASHES[number % len(_LEVEL_DASHES)]
        axes.axhline(mean, color=GREY, linewidth=1.3, linestyle=dashes)
        labels.append(_Label(f"{_short(model)} {mean:.1f}", (axes.get_xlim()[1], mean), GREY))
    return labels


def _draw_curves(axes: Axes, curves: pd.DataFrame) -> list[_Label]:
    """Means with their deviations; dotted towards the whole training set, whose place has no
    scale.
    """
    labels = []
    models = list(dict.fromkeys(curves["model"]))
    for number, model in enumerate(models):
        points = curves[curves["model"] == model].sort_values("place")
        colour, marker = _STYLES[number % len(_STYLES)]
        width = 2.4 if number == 0 else 1.4
        across = points["place"] + _ASIDE * (number - (len(models) - 1) / 2)
        axes.errorbar(
            across,
            points["mean"],
            yerr=points["std"],
            fmt="none",
            ecolor=colour,
            elinewidth=1.2,
            capsize=3,
        )
        axes.plot(across, points["mean"], marker, color=colour, markersize=4 + width)
        scaled = (points["word"] != _WHOLE).to_numpy()
        axes.plot(across[scaled], points["mean"][scaled], color=colour, linewidth=width)
        if not scaled.all():
            axes.plot(across[-2:], points["mean"][-2:], ":", color=colour, linewidth=width)
        end = (float(across.iloc[-1]), float(points["mean"].iloc[-1]))
        labels.append(_Label(f"{_short(model)} {end[1]:.1f}", end, colour))
    return labels


def _short(model: str) -> str:
    return shortened(model, _LONGEST_LABEL)


def _draw_labels(axes: Axes, labels: Sequence[_Label], fonts: Sequence[str]) -> None:
    """Each name beside the end of its line, with the last value."""
    places = spread([label.end[1] for label in labels], _LABEL_PITCH, 1.0, 100.0)
    left, right = axes.get_xlim()
    beside = right + _LEADER * (right - left)
    for label, place in zip(labels, places, strict=True):
        across, upwards = zip(label.end, (right, label.end[1]), (beside, place), strict=True)
        axes.plot(across, upwards, color=label.colour, linewidth=0.8, clip_on=False)
        words = f" {label.words}"
        axes.text(beside, place, words, va="center", fontsize=9, family=list(fonts), color=INK)

"""ROC and precision-recall curves of an anomaly score beside those of its controls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

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
)
from pipeline_lib.pictures.fonts import font_families

_MODEL: dict[str, Any] = {"color": BLUE, "linewidth": 2.6, "zorder": 4}
_CONTROLS: tuple[dict[str, Any], ...] = (
    {"color": ORANGE, "linestyle": "-"},
    {"color": GREEN, "linestyle": (0, (5, 1.5))},
    {"color": PURPLE, "linestyle": "-."},
    {"color": VERMILION, "linestyle": (0, (1.5, 1))},
    {"color": SKY, "linestyle": (0, (6, 1.5, 1, 1.5, 1, 1.5))},
)
_THIN = 1.2
# In inches.
_WIDTH = 10.0
_SIDE = 3.9
_TOP = 0.75
_AXIS_WORDS = 0.55
_LEGEND_LINE = 0.2
_CHANCE: dict[str, Any] = {"color": GREY, "linewidth": 1.2, "linestyle": (0, (4, 4)), "zorder": 1}


@dataclass(frozen=True)
class Curve:
    """Both curves of one score.

    Attributes:
        fpr: False positive rates, float [n], ascending; empty where undefined.
        tpr: True positive rate at each, float [n].
        recall: Recalls, float [m], ascending; empty where undefined.
        precision: Precision at each, float [m].
        auc: Area under the ROC curve, or ``None`` where undefined.
        average_precision: Of the precision-recall curve, or ``None`` where undefined.
    """

    fpr: np.ndarray
    tpr: np.ndarray
    recall: np.ndarray
    precision: np.ndarray
    auc: float | None
    average_precision: float | None


def draw_anomaly_curves(
    path: Path, curves: Mapping[str, Curve], base_rate: float | None, title: str
) -> None:
    """Write ROC and precision-recall curves side by side; the same curves give the same bytes.

    Args:
        path: The PNG to write.
        curves: Words of the legend to curve. The first is the model, the others its controls.
        base_rate: Share of positives, which is the precision of a guess, or ``None``.
        title: Text above both.
    """
    fonts = font_families([title, *curves])
    legend = _AXIS_WORDS + _LEGEND_LINE * (len(curves) + 3)
    tall = _TOP + _SIDE + legend
    figure = new_figure(_WIDTH, tall)
    size = (_SIDE / _WIDTH, _SIDE / tall)
    with plain_texts():
        roc = figure.add_axes((0.075, legend / tall, *size))
        _frame(roc, "ROC", "false positive rate", "true positive rate")
        _draw(roc, [(curve.fpr, curve.tpr) for curve in curves.values()], "default")
        roc.plot([0, 1], [0, 1], **_CHANCE)
        areas = [f"{name}: {_number(curve.auc)}" for name, curve in curves.items()]
        _legend(roc, "area under the curve", [*areas, "chance: 0.500"], fonts)

        recall = figure.add_axes((0.575, legend / tall, *size))
        _frame(recall, "precision-recall", "recall", "precision")
        points = [_held(curve.recall, curve.precision) for curve in curves.values()]
        _draw(recall, points, "steps-pre")
        recall.plot([0, 1], [np.nan if base_rate is None else base_rate] * 2, **_CHANCE)
        areas = [f"{name}: {_number(curve.average_precision)}" for name, curve in curves.items()]
        chance = f"chance (share of positives): {_number(base_rate)}"
        _legend(recall, "average precision", [*areas, chance], fonts)
        figure.text(0.075, 1 - 0.22 / tall, title, va="center", fontsize=11, family=fonts)
    save_png(figure, path)


def _held(recall: np.ndarray, precision: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The curve from recall 0 on: each precision holds back to the recall before its own."""
    reached = recall > 0
    first = precision[reached][:1]
    return np.append(0.0 * first, recall[reached]), np.append(first, precision[reached])


def _frame(axes: Axes, title: str, across: str, upwards: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.set_xlabel(across, fontsize=9)
    axes.set_ylabel(upwards, fontsize=9)
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.tick_params(labelsize=9, length=0)
    axes.grid(color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw(axes: Axes, points: Sequence[tuple[np.ndarray, np.ndarray]], drawstyle: str) -> None:
    """The model thick and above its controls; an undefined curve leaves its legend's line."""
    for number, (across, upwards) in enumerate(points):
        control = _CONTROLS[(number - 1) % len(_CONTROLS)]
        style = {"linewidth": _THIN, "zorder": 3, **control} if number else _MODEL
        axes.plot(across, upwards, drawstyle=drawstyle, **style)


def _legend(axes: Axes, title: str, words: Sequence[str], fonts: Sequence[str]) -> None:
    axes.legend(
        axes.lines,
        words,
        title=title,
        loc="upper left",
        bbox_to_anchor=(-0.02, -_AXIS_WORDS / _SIDE),
        alignment="left",
        frameon=False,
        borderaxespad=0.0,
        handlelength=3.2,
        title_fontproperties={"size": 9, "weight": "bold"},
        prop={"family": fonts, "size": 9},
    )


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"

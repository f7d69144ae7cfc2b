"""Which lines show the probabilities of one video, and the points of each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline_lib.pictures.figures import (
    CLASS_COLOUR,
    GREEN,
    GREY,
    INK,
    NORMAL_COLOUR,
    PURPLE,
    SKY,
)

Dashes = str | tuple[float, tuple[float, ...]]

# So many classes have a line of their own; the rest share one.
_SHOWN_CLASSES = 5
# A class that nowhere is more probable than this nor predicted needs no line of its own.
_NOTABLE = 0.25
_OTHER_STYLES: tuple[tuple[str, Dashes], ...] = (
    (GREEN, "--"),
    (PURPLE, "-."),
    (SKY, (0, (1.5, 1))),
    (INK, (0, (6, 2, 1, 2))),
)


@dataclass(frozen=True)
class Series:
    """One line over time.

    Attributes:
        words: Its label.
        values: Probability in each window, [n].
        chosen: Whether a window is predicted as it, bool [n].
        colour: Of the line.
        dashes: Its style: colour alone does not tell everyone.
        width: Of the line.
        ranged: Whether the range behind a mean is shown.
    """

    words: str
    values: np.ndarray
    chosen: np.ndarray
    colour: str
    dashes: Dashes = "-"
    width: float = 1.3
    ranged: bool = False


def choose_series(
    probabilities: np.ndarray,
    class_names: Sequence[str],
    *,
    true_class: int,
    predicted_class: int,
    normal: int | None,
) -> list[Series]:
    """The annotated class, the normal one, the most notable others, and the rest as one line.

    Args:
        probabilities: Float [n, C].
        class_names: The C names.
        true_class: Index of the annotated class.
        predicted_class: Index of the class predicted for the whole video.
        normal: Index of the normal class, or ``None``.

    Returns:
        At most six lines, the annotated class first. The rest is shown by the most probable class
        among it.
    """
    winners = probabilities.argmax(axis=1)
    wins = np.bincount(winners, minlength=len(class_names))
    peaks = probabilities.max(axis=0, initial=0.0)
    by_rank = sorted(range(len(class_names)), key=lambda at: (-wins[at], -peaks[at], at))
    notable = [at for at in by_rank if wins[at] or peaks[at] > _NOTABLE]
    always = [true_class, *([] if normal is None else [normal]), predicted_class]
    shown = list(dict.fromkeys([*always, *notable]))[:_SHOWN_CLASSES]
    rest = [at for at in by_rank if at not in shown]
    styles = iter(_OTHER_STYLES)
    series = []
    for at in shown:
        line = (class_names[at], probabilities[:, at], winners == at)
        if at == normal:
            series.append(Series(*line, NORMAL_COLOUR, width=1.6, ranged=True))
        elif at == true_class:
            series.append(Series(*line, CLASS_COLOUR, width=2.4, ranged=True))
        else:
            series.append(Series(*line, *next(styles)))
    if rest:
        words = f"best of {len(rest)} others" if len(rest) > 1 else class_names[rest[0]]
        highest = probabilities[:, rest].max(axis=1)
        series.append(Series(words, highest, np.isin(winners, rest), GREY, width=0.8))
    return series


@dataclass(frozen=True)
class Steps:
    """Values over time, each held from ``left`` to ``right``, float [n] each.

    Attributes:
        left: Where each value begins.
        right: Where it ends.
        mean: The value, or the mean of several.
        low: The lowest of them.
        high: The highest.
    """

    left: np.ndarray
    right: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def line(self) -> np.ndarray:
        """Points of the mean, float [m, 2]; NaN where no value is."""
        values = np.stack([self.mean, self.mean], axis=1)
        points = np.stack([self._sides(), values], axis=2).reshape(-1, 2)
        gaps = 1 + np.flatnonzero(self.left[1:] > self.right[:-1] + 1e-6)
        return np.insert(points, 2 * gaps, np.nan, axis=0)

    def ranges(self) -> np.ndarray:
        """Corners of a rectangle from lowest to highest for each value, float [n, 4, 2]."""
        across = self._sides()[:, [0, 0, 1, 1]]
        upwards = np.stack([self.low, self.high, self.high, self.low], axis=1)
        return np.stack([across, upwards], axis=2)

    def _sides(self) -> np.ndarray:
        return np.stack([self.left, self.right], axis=1)


def steps(left: np.ndarray, right: np.ndarray, values: np.ndarray, column: float) -> Steps:
    """Values over time as steps; where they are many, those of one column become one step.

    Args:
        left: Where each value begins, float [n], ascending from 0.
        right: Where it ends, float [n].
        values: Float [n].
        column: Width of a column. Values that are wider on average stay as they are.
    """
    if not len(values) or (right - left).mean() >= column:
        return Steps(left, right, values, values, values)
    columns = (left + right) / 2 // column
    first = np.flatnonzero(np.diff(columns, prepend=-1.0))
    counts = np.diff(first, append=len(values))
    start = columns[first] * column
    return Steps(
        start,
        start + column,
        np.add.reduceat(values, first) / counts,
        np.minimum.reduceat(values, first),
        np.maximum.reduceat(values, first),
    )

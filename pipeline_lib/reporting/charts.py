"""Line charts as plain shapes, which a template turns into SVG.

Shapes without colours: those come from the page's style, so a chart is legible on a dark page too,
and the same numbers give the same bytes whatever draws them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from pipeline_lib.errors import DataError
from pipeline_lib.reporting.spec import Chart
from pipeline_lib.reporting.tables import at_most

# In the chart's own units, which are about CSS pixels.
WIDTH, HEIGHT = 360.0, 224.0
LEFT, RIGHT, TOP, BOTTOM = 42.0, 350.0, 20.0, 182.0

_MOST_POINTS = 400
_MARKED = 12  # a line of at most so many points shows each
_STEPS = (1, 2, 2.5, 5, 10)
_MOST_DOUBLED = 9


@dataclass(frozen=True)
class Tick:
    """A place on an axis and what stands there."""

    at: float
    words: str


@dataclass(frozen=True)
class Line:
    """One line.

    Attributes:
        name: Column.
        path: SVG path data; interrupted where a value is undefined.
        marks: Points to be marked, (x, y).
        last: Last defined value.
    """

    name: str
    path: str
    marks: tuple[tuple[float, float], ...]
    last: float


@dataclass(frozen=True)
class Drawn:
    """A chart ready for its template.

    Attributes:
        chart: What it shows.
        lines: Those with a value.
        x_ticks: Along the bottom.
        y_ticks: Along the left.
        table: The numbers.
        left_out: Rows of the file that are neither drawn nor in the table.
    """

    chart: Chart
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    table: pd.DataFrame
    left_out: int


def draw(chart: Chart, numbers: pd.DataFrame) -> Drawn:
    """Lay a chart out.

    Args:
        chart: What it shows.
        numbers: Its columns, the one of the bottom axis first.

    Raises:
        DataError: The bottom axis is to double and holds a value that is not above 0, or a place
            on it is undefined.
    """
    table = at_most(numbers, _MOST_POINTS)
    x, values = table[chart.x].to_numpy(), table.drop(columns=chart.x)
    values = values.where(np.isfinite(values))
    values = values.loc[:, values.notna().any()]
    if not np.isfinite(x).all() or (chart.doubling and (x <= 0).any()):
        raise DataError(f"{chart.file}: column {chart.x!r} holds a value that has no place.")
    left_out = len(numbers) - len(table)
    if values.empty:
        return Drawn(chart, (), (), (), table, left_out)
    x_scale = _Scale(*_across(chart, x), LEFT, RIGHT, chart.doubling)
    y_ends, y_places = _upwards(chart, values.to_numpy())
    y_scale = _Scale(*y_ends, BOTTOM, TOP)
    lines = tuple(
        _line(str(name), x_scale(x), y_scale(values[name].to_numpy()), values[name])
        for name in values.columns
    )
    x_ticks = _ticks(x_scale, _places_across(chart, x))
    return Drawn(chart, lines, x_ticks, _ticks(y_scale, y_places), table, left_out)


@dataclass(frozen=True)
class _Scale:
    """Values to places: ``low`` lies at ``begin``, ``high`` at ``end``."""

    low: float
    high: float
    begin: float
    end: float
    doubling: bool = False

    def __call__(self, values: np.ndarray) -> np.ndarray:
        low, high = self.low, self.high
        if self.doubling:
            values, low, high = np.log2(values), np.log2(low), np.log2(high)
        return self.begin + (self.end - self.begin) * (values - low) / (high - low)


def _across(chart: Chart, x: np.ndarray) -> tuple[float, float]:
    low, high = float(x.min()), float(x.max())
    if low < high:
        return low, high
    return (low / 2, low * 2) if chart.doubling else (low - 1, low + 1)


def _places_across(chart: Chart, x: np.ndarray) -> Sequence[float]:
    if chart.doubling:
        doubled: list[float] = np.unique(x).tolist()
        return doubled[:: -(-len(doubled) // _MOST_DOUBLED)]
    low, high = _across(chart, x)
    places = MaxNLocator(6, steps=_STEPS, integer=chart.x == "epoch").tick_values(low, high)
    return [float(place) for place in places if low <= place <= high]


def _upwards(chart: Chart, values: np.ndarray) -> tuple[tuple[float, float], Sequence[float]]:
    """Both ends of the left axis and its ticks; the data always fits in."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if chart.reach:
        low, high = min(low, chart.reach[0]), max(high, chart.reach[1])
    if low == high:
        low, high = low - 0.5, high + 0.5
    places = [float(place) for place in MaxNLocator(5, steps=_STEPS).tick_values(low, high)]
    return (places[0], places[-1]), places


def _ticks(scale: _Scale, places: Sequence[float]) -> tuple[Tick, ...]:
    at = scale(np.array(places, float))
    return tuple(
        Tick(round(float(where), 1), f"{place:.6g}".replace("-", "−"))
        for where, place in zip(at, places, strict=True)
    )


def _line(name: str, x: np.ndarray, y: np.ndarray, values: pd.Series) -> Line:
    points = [
        None if np.isnan(height) else (round(float(place), 1), round(float(height), 1))
        for place, height in zip(x, y, strict=True)
    ]
    words, joined = [], False
    for point in points:
        if point is not None:
            words.append(f"{'L' if joined else 'M'}{point[0]:g} {point[1]:g}")
        joined = point is not None
    known = tuple(point for point in points if point is not None)
    alone = len(known) <= _MARKED
    return Line(name, "".join(words), known if alone else (), float(values.dropna().iloc[-1]))

"""Training curves, and the curves that evaluations leave."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from pipeline_lib.reporting.charts import Drawn, draw
from pipeline_lib.reporting.project import Project
from pipeline_lib.reporting.sections import Section
from pipeline_lib.reporting.spec import Chart, Part, Shares
from pipeline_lib.reporting.tables import at_most, read_csv, read_numbers

_MOST_ROWS = 200


@dataclass(frozen=True)
class Bars:
    """A table of shares.

    Attributes:
        title: Above it.
        label: Name of the first column.
        columns: Names of the others.
        rows: Name of each row and its values, ``None`` where undefined.
        left_out: Rows of the file that are not shown.
    """

    title: str
    label: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]
    left_out: int


def build(project: Project, parts: Sequence[Part]) -> Section:
    """Charts and tables with bars of every part that has some."""
    groups = []
    for part in parts:
        charts = [_chart(project, part, chart) for chart in part.charts]
        bars = [_bars(project, part, shares) for shares in part.shares]
        drawn, tables = [c for c in charts if c], [b for b in bars if b]
        if drawn or tables:
            groups.append({"title": part.title, "charts": drawn, "bars": tables})
    return Section("curves", "Curves", {"groups": groups})


def _chart(project: Project, part: Part, chart: Chart) -> Drawn | None:
    if not project.exists(chart.file):
        return None
    return project.attempt(f"{part.title}: {chart.title}", lambda: _drawn(project, chart))


def _drawn(project: Project, chart: Chart) -> Drawn | None:
    path = project.path(chart.file)
    there = read_csv(path).columns
    if chart.when and chart.when not in there:
        return None
    beside = [name for name in chart.beside if name in there]
    return draw(chart, read_numbers(path, [chart.x, *chart.y, *beside]))


def _bars(project: Project, part: Part, shares: Shares) -> Bars | None:
    if not project.exists(shares.file):
        return None
    return project.attempt(f"{part.title}: {shares.title}", lambda: _measured(project, shares))


def _measured(project: Project, shares: Shares) -> Bars:
    path = project.path(shares.file)
    names = read_csv(path, [shares.label], text=True)[shares.label]
    columns = [name for name in read_csv(path).columns if name != shares.label]
    table = read_numbers(path, columns)
    shown = at_most(table, _MOST_ROWS)
    rows = tuple(
        (names.loc[index], tuple(None if pd.isna(value) else float(value) for value in values))
        for index, values in zip(shown.index, shown.to_numpy(), strict=True)
    )
    return Bars(shares.title, shares.label, tuple(columns), rows, len(table) - len(shown))

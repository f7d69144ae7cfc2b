"""Every number beside its controls, and how it changed since the last commit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline_lib.errors import DataError
from pipeline_lib.reporting.history import Earlier, earlier_version
from pipeline_lib.reporting.project import Project
from pipeline_lib.reporting.sections import Section
from pipeline_lib.reporting.spec import Headline, Part
from pipeline_lib.summary import Row, headlines, read_rows, rows_of

_PER_CENT = 100.0


@dataclass(frozen=True)
class Line:
    """A row of a table.

    Attributes:
        row: The number and its controls.
        change: Since the earlier version; ``None`` where there is nothing to compare with.
        new: The earlier version does not have the number.
        span: Value that the end of the row's picture stands for, or ``None``: no picture.
    """

    row: Row
    change: float | None
    new: bool
    span: float | None

    @property
    def numbers(self) -> dict[str, float]:
        """Defined values of the controls, by their names."""
        return {name: value for name, value in self.row.controls.items() if value is not None}


@dataclass(frozen=True)
class Table:
    """The numbers of one metrics file.

    Attributes:
        model: Name of the file.
        title: For people.
        earlier: What it is compared with.
        controls: Names of all controls.
        gained: Some row has a gain.
        lines: First look.
        every: All numbers.
    """

    model: str
    title: str
    earlier: Earlier
    controls: tuple[str, ...]
    gained: bool
    lines: tuple[Line, ...]
    every: tuple[Line, ...]


@dataclass(frozen=True)
class Card:
    """A part's number at the top of the page; all in per cent.

    Attributes:
        title: The part.
        words: The number in words.
        value: It.
        beside: Best control and its value, or ``None`` where no control is defined.
        change: Since the earlier version, in points.
        commit: Of the earlier version.
    """

    title: str
    words: str
    value: float
    beside: tuple[str, float] | None
    change: float | None
    commit: str


def build(project: Project, parts: Sequence[Part]) -> Section:
    """Tables of all metrics files, and a card for the number of each part."""
    found = sorted(project.metrics.glob("*.json"))
    rows = read_rows(project.metrics) if found else []
    titles = {part.name: part.title for part in parts}
    place = {name: index for index, name in enumerate(titles)}
    found_models = dict.fromkeys(row.model for row in rows)
    models = sorted(found_models, key=lambda model: (place.get(model, len(place)), model))
    tables = [
        _table(project, model, titles.get(model, model), [r for r in rows if r.model == model])
        for model in models
    ]
    by_model = {table.model: table for table in tables}
    cards = [
        card
        for part in parts
        if part.headline and part.name in by_model
        for card in [_card(part.title, part.headline, by_model[part.name])]
        if card
    ]
    return Section("metrics", "Metrics", {"tables": tables, "cards": cards})


def _table(project: Project, model: str, title: str, rows: list[Row]) -> Table:
    earlier, then = _earlier(project, model)
    first = headlines(rows)
    return Table(
        model=model,
        title=title,
        earlier=earlier,
        controls=tuple(dict.fromkeys(name for row in rows for name in row.controls)),
        gained=any(row.gain for row in rows),
        lines=tuple(_line(row, then) for row in first),
        every=tuple(_line(row, then) for row in rows),
    )


def _earlier(project: Project, model: str) -> tuple[Earlier, dict[str, float | None] | None]:
    """The version to compare with, and its numbers by their dotted names."""
    earlier = earlier_version(project.metrics / f"{model}.json")
    if earlier.tree is None:
        return earlier, None
    try:
        return earlier, {row.metric: row.value for row in rows_of(model, earlier.tree)}
    except DataError:  # no branches where controls or gains belong
        note = f"the version of {earlier.date} ({earlier.commit}) is of another form"
        return Earlier(None, earlier.commit, earlier.date, note), None


def _line(row: Row, then: dict[str, float | None] | None) -> Line:
    before = then.get(row.metric) if then is not None else None
    change = None if row.value is None or before is None else row.value - before
    new = then is not None and row.metric not in then
    return Line(row, change, new, _span(row))


def _span(row: Row) -> float | None:
    """Shares are drawn from 0 to 1, recalls in per cent from 0 to 100, other numbers not."""
    values = [value for value in (row.value, *row.controls.values()) if value is not None]
    finite = all(map(math.isfinite, values))
    if row.value is None or not row.controls or not finite or min(values) < 0:
        return None
    if max(values) <= 1 and not all(isinstance(value, int) for value in values):
        return 1.0
    in_per_cent = row.path[-1].rpartition("_r")[2].isdigit()
    return _PER_CENT if in_per_cent and max(values) <= _PER_CENT else None


def _card(title: str, headline: Headline, table: Table) -> Card | None:
    line = next((one for one in table.every if one.row.metric == headline.metric), None)
    if line is None or line.row.value is None:
        return None
    scale = 1.0 if headline.per_cent else _PER_CENT
    # The first of equals, in the order of the metrics file.
    best = max(line.numbers, key=lambda name: line.numbers[name], default=None)
    return Card(
        title=title,
        words=headline.words,
        value=scale * line.row.value,
        beside=None if best is None else (best, scale * line.numbers[best]),
        change=None if line.change is None else scale * line.change,
        commit=table.earlier.commit,
    )

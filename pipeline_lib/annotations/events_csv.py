"""Reading one ``{class}_timestamp.csv``: every bad row is found before anything is refused."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline_lib.annotations.timestamps import FORMS, parse_time
from pipeline_lib.errors import DataError, nearest
from pipeline_lib.paths import nfc

_COLUMNS = ("file_name", "start_time", "end_time")
_ALIASES = {"filename": "file_name"}
_LABELS = ("class", "class_name", "label")
_LISTED = 10


@dataclass(frozen=True)
class EventRow:
    """One annotated event.

    Attributes:
        line: Line of the file, the header being line 1.
        file_name: The cell as text in NFC, with or without a suffix.
        start_s: Start in seconds.
        end_s: End in seconds, after the start.
        label: The cell of a column ``class``, ``class_name`` or ``label`` as text in NFC; empty
            where there is none. The pipeline takes the class from the table's name.
    """

    line: int
    file_name: str
    start_s: float
    end_s: float
    label: str = ""


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used.

    Attributes:
        line: Line of the file.
        says: All that is wrong with it.
    """

    line: int
    says: str


def read_events(path: Path) -> tuple[EventRow, ...]:
    """Read an annotation table; columns other than the three needed are ignored.

    Args:
        path: CSV in UTF-8, with or without byte order mark, with the columns ``file_name`` (or
            ``filename``), ``start_time`` and ``end_time``.

    Raises:
        DataError: The file cannot be read, lacks a column, or has bad rows: a wrong number of
            fields, a blank name, a time that is none, or an end that is not after its start.
            All bad rows of the file are counted and the first ten named by line and field.
    """
    rows, bad = sift_events(path)
    if bad:
        raise _bad_rows(path, [f"row {row.line}: {row.says}" for row in bad])
    return rows


def sift_events(path: Path) -> tuple[tuple[EventRow, ...], tuple[BadRow, ...]]:
    """The good rows of an annotation table and the bad ones; see :func:`read_events`.

    Raises:
        DataError: The file cannot be read, or lacks a column.
    """
    records = _records(path)
    header_line, header = next(records, (1, []))
    if isinstance(header, str):
        raise DataError(f"{path} row {header_line}: {header}.")
    position = _columns(header, path)
    rows: list[EventRow] = []
    bad: list[BadRow] = []
    for line, record in records:
        found = record if isinstance(record, str) else _row(line, record, len(header), position)
        if isinstance(found, EventRow):
            rows.append(found)
        else:
            bad.append(BadRow(line, found))
    return tuple(rows), tuple(bad)


def _records(path: Path) -> Iterator[tuple[int, list[str] | str]]:
    """First line and fields of each record, or what is wrong with it; blank lines are left out."""
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, f"not valid CSV ({error})"
            continue
        if len(fields) > 1 or any(field.strip() for field in fields):
            yield line, fields


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path} row {line}: not UTF-8 text.",
            hint="Save it as 'CSV UTF-8 (comma delimited)'.",
        ) from None


def _columns(header: Sequence[str], path: Path) -> dict[str, int]:
    names = [_ALIASES.get(name.strip(), name.strip()) for name in header]
    shown = ", ".join(repr(name.strip()) for name in header) or "nothing"
    for column in _COLUMNS:
        if names.count(column) > 1:
            raise DataError(
                f"{path} row 1: more than one column {column!r}; it has {shown}.",
                hint="Keep one of them ('filename' counts as 'file_name').",
            )
        if column not in names:
            raise DataError(
                f"{path} row 1: no column {column!r}; it has {shown}.",
                hint=_column_hint(column, names),
            )
    label = next((name for name in _LABELS if name in names), None)
    wanted = (*_COLUMNS, label) if label else _COLUMNS
    return {column: names.index(column) for column in wanted}


def _column_hint(column: str, names: Sequence[str]) -> str:
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        return "Separate the fields with commas."
    near = nearest(column, (name for name in names if name not in _COLUMNS))
    if near:
        return f"Is {near!r} meant? Then rename it to {column!r}."
    return f"The first line must name the columns {', '.join(_COLUMNS)}."


def _row(line: int, fields: Sequence[str], width: int, position: dict[str, int]) -> EventRow | str:
    """The event of one record, or all that is wrong with it."""
    if len(fields) != width:
        return f"{len(fields)} fields where the header has {width}"
    cells = {column: fields[index].strip() for column, index in position.items()}
    problems = [] if cells["file_name"] else ["file_name '' is blank"]
    times: list[float] = []
    for column in ("start_time", "end_time"):
        try:
            times.append(parse_time(cells[column]))
        except DataError as error:
            problems.append(f"{column} {error.message}")
    if len(times) == 2 and times[1] <= times[0]:
        problems.append(
            f"end_time {cells['end_time']!r} is not after start_time {cells['start_time']!r}"
        )
    if problems:
        return "; ".join(problems)
    label = next((nfc(cells[name]) for name in _LABELS if name in cells), "")
    return EventRow(line, nfc(cells["file_name"]), times[0], times[1], label)


def _bad_rows(path: Path, problems: Sequence[str]) -> DataError:
    count = "1 row" if len(problems) == 1 else f"{len(problems)} rows"
    more = [f"and {len(problems) - _LISTED} more"] if len(problems) > _LISTED else []
    listed = "\n  ".join([*problems[:_LISTED], *more])
    return DataError(f"{path}: {count} cannot be used:\n  {listed}", hint=FORMS)

"""Lists and tables of video ids: one a line, or separated by commas, tabs or anything else."""

import csv
import io
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pipeline_lib.datasets.video_lists.faults import Fault, refuse_faults
from pipeline_lib.errors import DataError
from pipeline_lib.paths import nfc

_LOG = logging.getLogger(__name__)
_LISTED = 3


def read_ids(path: Path) -> dict[str, int]:
    """A list with one id a line.

    Args:
        path: UTF-8, with or without byte order mark; blank lines are left out.

    Returns:
        Id in NFC to its line, in the order of the file. A repeated one stands where it came
        first, and a warning tells of it.

    Raises:
        DataError: The file cannot be read or is not UTF-8.
    """
    return first_lines(path, ((nfc(text.strip()), line) for line, text in _lines(path)))


def read_names(path: Path) -> tuple[str, ...]:
    """A list with one name a line, whose place counts.

    Raises:
        DataError: The file cannot be read or is empty, or a line is blank or there twice.
    """
    lines = [nfc(text.strip()) for _, text in _lines(path)]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise DataError(f"{path}: no names.")
    first: dict[str, int] = {}
    faults = []
    for line, name in enumerate(lines, 1):
        if not name:
            faults.append(Fault(line, "blank"))
        elif first.setdefault(name, line) != line:
            faults.append(Fault(line, f"{name!r} stands on line {first[name]} already"))
    refuse_faults(path, faults)
    return tuple(lines)


def read_csv(path: Path, columns: Sequence[str]) -> list[tuple[int, tuple[str, ...]]]:
    """A table with a header, separated by commas.

    Args:
        path: UTF-8, with or without byte order mark.
        columns: The wanted ones; others are left alone.

    Returns:
        First line and wanted cells of each row, without blanks around them.

    Raises:
        DataError: The file cannot be read, lacks a column, or has rows with too few cells.
    """
    records = _records(io.StringIO(_text(path), newline=""), ",")
    _, header = next(records, (1, []))
    names = [name.strip() for name in header]
    for column in columns:
        if column not in names:
            raise DataError(
                f"{path} line 1: no column {column!r}; it has {', '.join(names) or 'nothing'}."
            )
    places = [names.index(column) for column in columns]
    rows, faults = [], []
    for line, cells in records:
        if len(cells) <= max(places):
            faults.append(Fault(line, f"{len(cells)} cells where the header has {len(names)}"))
        else:
            rows.append((line, tuple(cells[place].strip() for place in places)))
    refuse_faults(path, faults)
    return rows


def read_tsv(path: Path, width: int) -> list[tuple[int, tuple[str, ...]]]:
    """A table without header, separated by tabs; quotes are letters like any other.

    Returns:
        Line and cells of each row, without blanks around them.

    Raises:
        DataError: The file cannot be read, or has rows of another width.
    """
    rows, faults = [], []
    for line, text in _lines(path):
        cells = tuple(cell.strip() for cell in text.split("\t"))
        if len(cells) == width:
            rows.append((line, cells))
        elif text.strip():
            faults.append(Fault(line, f"{len(cells)} cells between tabs instead of {width}"))
    refuse_faults(path, faults)
    return rows


def read_rows(path: Path, separator: str) -> list[tuple[int, tuple[str, ...]]]:
    """A table without header, of rows of any width.

    Args:
        path: UTF-8, with or without byte order mark; blank lines are left out.
        separator: One character; where it is a blank, several count as one. Cells that hold it
            are quoted.

    Returns:
        First line and cells of each row, without blanks around them.

    Raises:
        DataError: The file cannot be read.
    """
    rows = []
    for line, cells in _records(io.StringIO(_text(path), newline=""), separator):
        stripped = (cell.strip() for cell in cells)
        rows.append((line, tuple(cell for cell in stripped if cell or separator != " ")))
    return rows


def first_lines(path: Path, ids: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Each id with its first line; a warning tells of the repeated ones.

    Args:
        path: For the warning.
        ids: With their lines; empty ones are left out.
    """
    first: dict[str, int] = {}
    repeated = []
    for name, line in ids:
        if name and first.setdefault(name, line) != line:
            repeated.append(f"{name!r} on lines {first[name]} and {line}")
    if repeated:
        more = f" and {len(repeated) - _LISTED} more" if len(repeated) > _LISTED else ""
        some = ", ".join(repeated[:_LISTED])
        _LOG.warning("%s: ids stand more than once: %s%s; once counts", path, some, more)
    return first


def _records(file: io.StringIO, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(file, delimiter=delimiter)
    line = 1
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield line, cells
        line = reader.line_num + 1


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    # Not by splitlines, which also ends lines at characters that may stand in a sentence.
    return enumerate(io.StringIO(_text(path), newline=None), 1)


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path} line {line}: not UTF-8 text.") from None

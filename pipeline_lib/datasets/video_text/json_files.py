"""JSON files of captions, read value by value with the line of each."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline_lib.datasets.json_lines import JsonScanner, Lines, naming_line, read_json_text
from pipeline_lib.datasets.question_fields import shown
from pipeline_lib.datasets.video_lists.faults import Fault, refuse_faults
from pipeline_lib.errors import DataError


def json_elements(
    path: Path, what: str, hint: str, key: str | None = None
) -> Iterator[tuple[int, Any]]:
    """Walk through the list of a JSON file.

    Args:
        path: JSON in UTF-8, with or without byte order mark.
        what: What the file is, where it is missing.
        hint: What such a file holds.
        key: Of the list, where an object holds it.

    Yields:
        Line and value of each element.

    Raises:
        DataError: The file cannot be read, is not JSON, or holds no such list.
    """
    text = read_json_text(path, what, hint)
    lines = Lines(text)
    with naming_line(path, lines):
        scanner = JsonScanner(text)
        if key is not None and scanner.at_object():
            yield from _under(path, key, scanner, lines, hint)
        else:
            yield from _list(path, "the file", scanner, lines, hint)
        scanner.end()


def json_members(path: Path, what: str, hint: str) -> Iterator[tuple[int, str, Any]]:
    """Walk through the object of a JSON file.

    Yields:
        Line, key and value of each member.

    Raises:
        DataError: The file cannot be read, is not JSON, or holds no object; a key stands in it
            twice, so that one of its values would be lost.
    """
    text = read_json_text(path, what, hint)
    lines = Lines(text)
    seen: dict[str, int] = {}
    faults = []
    with naming_line(path, lines):
        scanner = JsonScanner(text)
        if not scanner.at_object():
            raise DataError(f"{path}: holds {shown(scanner.value())}, not an object.", hint=hint)
        for key, position in scanner.members():
            line = lines.at(position)
            if key in seen:
                faults.append(
                    Fault(line, f"a second {shown(key)}; the first is on line {seen[key]}")
                )
            seen[key] = line
            yield line, key, scanner.value()
        scanner.end()
    refuse_faults(path, faults, "Keep one of them.")


def _under(
    path: Path, key: str, scanner: JsonScanner, lines: Lines, hint: str
) -> Iterator[tuple[int, Any]]:
    found = 0
    for name, position in scanner.members():
        if name != key:
            continue
        if found:
            raise DataError(
                f"{path}:{lines.at(position)}: a second {key!r}; the first is on line {found}.",
                hint="Join the two lists.",
            )
        found = lines.at(position)
        yield from _list(path, repr(key), scanner, lines, hint)
    if not found:
        raise DataError(f"{path}: no list {key!r}.", hint=hint)


def _list(
    path: Path, name: str, scanner: JsonScanner, lines: Lines, hint: str
) -> Iterator[tuple[int, Any]]:
    if not scanner.at_array():
        line, value = lines.at(scanner.position), scanner.value()
        raise DataError(f"{path}:{line}: {name} holds {shown(value)}, not a list.", hint=hint)
    for start in scanner.elements():
        yield lines.at(start), scanner.value()

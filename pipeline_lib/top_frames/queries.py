"""Files of queries: which captions are looked for in which videos."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_lib.datasets.json_lines import (
    JsonObject,
    JsonScanner,
    Lines,
    naming_line,
    read_json_text,
)
from pipeline_lib.datasets.question_fields import ItemFields, shown
from pipeline_lib.errors import DataError
from pipeline_lib.paths import path_fault, same_file_key

INDEX, FAILURES = "index.json", "failures.csv"
_SHAPE = '[{"id": …, "video": …, "caption": …}], or {"data": […]} with the items of a question file'
_HINT = f"The file holds {_SHAPE}."
_VIDEO, _CAPTION = ("video", "video_path"), ("caption", "question")


@dataclass(frozen=True)
class Query:
    """One caption to look for in one video.

    Attributes:
        id: Names the folder of its results; unique within the file, in NFC.
        video: Relative to the folder of videos, as written.
        caption: What to look for.
        line: Of the file, on which the query begins, from 1.
    """

    id: str
    video: str
    caption: str
    line: int


@dataclass(frozen=True)
class QueryFault:
    """A query without results.

    Attributes:
        id: Empty where there is no readable one.
        video: As written; empty where there is no readable one.
        line: Of the file, on which the query begins, from 1.
        reason: A short stable word: ``bad_query``, ``repeated_id``, or that of a ``VideoError``.
        message: The same for people.
    """

    id: str
    video: str
    line: int
    reason: str
    message: str


@dataclass(frozen=True)
class QueryFile:
    """The queries of a file, each in exactly one of the two, in the order of the file.

    Attributes:
        queries: Those that can be answered, as far as the file shows.
        faults: The others.
    """

    queries: tuple[Query, ...]
    faults: tuple[QueryFault, ...]


def read_queries(path: Path) -> QueryFile:
    """Read a file of queries; one at fault does not keep the others from being read.

    Args:
        path: JSON in UTF-8: a list of queries, or an object with such a list under ``data``. A
            query has ``id``, ``video`` or ``video_path``, and ``caption`` or ``question``; where
            both names are there the first one counts. Other keys are left alone.

    Raises:
        DataError: The file cannot be read, is not JSON, or holds no list of queries.
    """
    text = read_json_text(path, "file of queries", _HINT)
    lines = Lines(text)
    with naming_line(path, lines):
        items = _items(path, text, lines)
    read = [_query(path, number, *item) for number, item in enumerate(items)]
    queries = [one for one in read if isinstance(one, Query)]
    repeated = _repeated(path, queries)
    faults = [one for one in read if isinstance(one, QueryFault)] + repeated
    at_fault = {fault.id for fault in repeated}
    return QueryFile(
        tuple(query for query in queries if query.id not in at_fault),
        tuple(sorted(faults, key=lambda fault: fault.line)),
    )


def _items(path: Path, text: str, lines: Lines) -> list[tuple[int, Any]]:
    """The line and the value of each element of the list."""
    scanner = JsonScanner(text)
    found: list[tuple[int, Any]] | None = None
    if scanner.at_array():
        found = _elements(scanner, lines)
    elif scanner.at_object():
        for key, _ in scanner.members():
            if key == "data" and scanner.at_array():
                found = _elements(scanner, lines)
    else:
        scanner.value()
    scanner.end()
    if found is None:
        raise DataError(f"{path}: holds no list of queries.", hint=_HINT)
    if not found:
        raise DataError(f"{path}: its list of queries is empty.", hint=_HINT)
    return found


def _elements(scanner: JsonScanner, lines: Lines) -> list[tuple[int, Any]]:
    return [(lines.at(start), scanner.value()) for start in scanner.elements()]


def _query(path: Path, number: int, line: int, value: Any) -> Query | QueryFault:
    if not isinstance(value, JsonObject):
        says = f"{path.name}:{line}: query {number}: {shown(value)} is not an object"
        return QueryFault("", "", line, "bad_query", says)
    fields = ItemFields(value)
    query_id = fields.id()
    video = fields.text(_present(value, _VIDEO))
    caption = fields.text(_present(value, _CAPTION))
    wrong = [problem.says for problem in fields.problems]
    fault = path_fault(video) if video else None
    if fault:
        wrong.append(f"video {shown(video)} is not below the folder of videos: {fault}")
    if same_file_key(query_id) in (INDEX, FAILURES):
        wrong.append(f"its id {shown(query_id)} names a file of the results")
    if not wrong:
        return Query(query_id, video, caption, line)
    name = repr(query_id) if query_id else number
    message = f"{path.name}:{line}: query {name}: {'; '.join(wrong)}"
    return QueryFault(query_id, video, line, "bad_query", message)


def _present(item: JsonObject, names: tuple[str, str]) -> str:
    return names[1] if names[1] in item and names[0] not in item else names[0]


def _repeated(path: Path, queries: list[Query]) -> list[QueryFault]:
    """All queries whose ids would name the same folder."""
    by_key: defaultdict[str, list[Query]] = defaultdict(list)
    for query in queries:
        by_key[same_file_key(query.id)].append(query)
    faults = []
    for sharing in by_key.values():
        if len(sharing) > 1:
            says = f"its id is that of {len(sharing)} queries, the first on line {sharing[0].line}"
            faults += [
                QueryFault(
                    query.id,
                    query.video,
                    query.line,
                    "repeated_id",
                    f"{path.name}:{query.line}: query {query.id!r}: {says}",
                )
                for query in sharing
            ]
    return faults

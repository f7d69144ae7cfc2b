"""Questions about videos, with the moments that answer them: ``<root>/qa.json``."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline_lib.datasets.json_lines import (
    JsonObject,
    JsonScanner,
    Lines,
    find_value,
    naming_line,
    read_json_text,
)
from pipeline_lib.datasets.question_fields import ItemFields, Problem, short, shown
from pipeline_lib.errors import DataError
from pipeline_lib.paths import same_file_key

_SHAPE = '{"data": [{id, question, choices, video_path, support_frames}]}'
_HINT = f"The file holds {_SHAPE}, times in seconds."
_LISTED = 3


@dataclass(frozen=True, kw_only=True)
class Question:
    """One item; other keys of the file are left alone.

    Attributes:
        id: Can name files; unique within the file, also where letter case does not count; in NFC.
            A whole number in the file is its digits here.
        question: The words.
        choices: The possible answers, may be empty.
        video_path: Relative to ``<root>/videos``, as written; its words do not lead out of there.
        support_frames: Seconds at which the answer can be seen, as written, may be empty.
        line: Of the file, on which the item begins, from 1.
    """

    id: str
    question: str
    choices: tuple[str, ...]
    video_path: str
    support_frames: tuple[float, ...]
    line: int


@dataclass(frozen=True, kw_only=True)
class ItemFault:
    """An item that cannot be used as it is.

    Attributes:
        id: In NFC; empty where there is no readable one. Several faults may share it.
        video_path: As written; empty where there is no readable one.
        line: Of the file, from 1: of the first bad field, or of the item where that is missing.
        reason: A short stable word for the first fault: ``bad_field`` (a wrong type or value, or a
            field that stands twice in the item), ``missing_field``, ``repeated_id``, ``unsafe_id``
            or ``unsafe_path``.
        message: The same for people, with file, line, item and field.
    """

    id: str
    video_path: str
    line: int
    reason: str
    message: str


@dataclass(frozen=True)
class QuestionFile:
    """The items of a question file, each in exactly one of the two, in the order of the file.

    Attributes:
        questions: Those that can be used.
        faults: One for each of the others.
    """

    questions: tuple[Question, ...]
    faults: tuple[ItemFault, ...]


@dataclass
class _Item:
    """An item while the file is read; ``question`` is whole where there are no problems."""

    number: int
    start: int
    question: Question
    problems: list[Problem] = field(default_factory=list)


def read_questions(path: Path) -> QuestionFile:
    """Read a question file; an item at fault does not keep the others from being read.

    ``choices`` and ``support_frames`` may be empty, but not missing or null: whether nothing was
    asked for or something was lost could not be told. All items that share an id are at fault,
    and so are ids that differ only in letter case or Unicode form, which some file systems take
    for one.

    Args:
        path: JSON in UTF-8, with or without byte order mark.

    Raises:
        DataError: The file cannot be read, is not JSON, or has no list ``data``.
    """
    text = read_json_text(path, "question file", _HINT)
    lines = Lines(text)
    with naming_line(path, lines):
        items = _items(path, text, lines)
    _note_repeated(items)
    return QuestionFile(
        tuple(item.question for item in items if not item.problems),
        tuple(_fault(path, text, lines, item) for item in items if item.problems),
    )


def _items(path: Path, text: str, lines: Lines) -> list[_Item]:
    scanner = JsonScanner(text)
    if not scanner.at_object():
        value = scanner.value()
        scanner.end()
        raise DataError(f"{path}: holds {shown(value)}, not an object.", hint=_HINT)
    keys: dict[str, int] = {}
    items: list[_Item] = []
    for key, position in scanner.members():
        line = lines.at(position)
        if key == "data" and key in keys:
            raise DataError(
                f"{path}:{line}: a second 'data'; the first is on line {keys[key]}.",
                hint="Join the two lists.",
            )
        keys[key] = line
        if key == "data":
            items = _data(path, scanner, lines)
    scanner.end()
    if "data" not in keys:
        known = ", ".join(short(repr(key)) for key in list(keys)[:10]) or "nothing"
        raise DataError(f"{path}: no list 'data'; it holds {known}.", hint=_HINT)
    return items


def _data(path: Path, scanner: JsonScanner, lines: Lines) -> list[_Item]:
    if not scanner.at_array():
        line, value = lines.at(scanner.position), scanner.value()
        raise DataError(f"{path}:{line}: data = {shown(value)} is not a list.", hint=_HINT)
    return [
        _item(number, start, lines.at(start), scanner.value())
        for number, start in enumerate(scanner.elements())
    ]


def _item(number: int, start: int, line: int, value: Any) -> _Item:
    is_object = isinstance(value, JsonObject)
    fields = ItemFields(value if is_object else JsonObject([]))
    question = Question(
        id=fields.id(),
        question=fields.text("question"),
        choices=fields.choices(),
        video_path=fields.video_path(),
        support_frames=fields.support_frames(),
        line=line,
    )
    if is_object:
        return _Item(number, start, question, fields.problems)
    says = f"{shown(value)} is not an object"
    return _Item(number, start, question, [Problem((), says, "bad_field")])


def _note_repeated(items: Iterable[_Item]) -> None:
    by_key: defaultdict[str, list[_Item]] = defaultdict(list)
    for item in items:
        if item.question.id:
            by_key[same_file_key(item.question.id)].append(item)
    for sharing in by_key.values():
        if len(sharing) > 1:
            # Worded once: told item by item, 100,000 items of one id would not end.
            says = _repeated(sharing)
            for item in sharing:
                item.problems.append(Problem(("id",), says, "repeated_id"))


def _repeated(sharing: Sequence[_Item]) -> str:
    where = ", ".join(str(item.question.line) for item in sharing[:_LISTED])
    more = f" and {len(sharing) - _LISTED} more" if len(sharing) > _LISTED else ""
    spellings = sorted({item.question.id for item in sharing})
    if len(spellings) == 1:
        return f"its id is that of {len(sharing)} items, on lines {where}{more}"
    names = ", ".join(map(shown, spellings[:_LISTED]))
    return (
        f"its id is that of {len(sharing)} items where letter case does not count ({names}), on "
        f"lines {where}{more}"
    )


def _fault(path: Path, text: str, lines: Lines, item: _Item) -> ItemFault:
    question, first = item.question, item.problems[0]
    line = question.line
    if first.reason != "missing_field":
        line = lines.at(find_value(text, item.start, *first.path))
    name = f"item {short(repr(question.id))}" if question.id else f"data[{item.number}]"
    says = "; ".join(problem.says for problem in item.problems[:_LISTED])
    more = len(item.problems) - _LISTED
    return ItemFault(
        id=question.id,
        video_path=question.video_path,
        line=line,
        reason=first.reason,
        message=f"{path}:{line}: {name}: {says}" + (f"; {more} more" if more > 0 else ""),
    )

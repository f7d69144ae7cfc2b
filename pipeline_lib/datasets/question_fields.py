"""The fields of one question item: their types, and what is wrong with them in words."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline_lib.datasets.json_lines import JsonObject
from pipeline_lib.paths import name_fault, nfc, path_fault

FIELDS = ("id", "question", "choices", "video_path", "support_frames")
_LONGEST_SHOWN = 60
_ABSENT = object()

_Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an item.

    Attributes:
        path: Keys and element numbers from the item to the value; none for the item itself.
        says: What is wrong, naming the value.
        reason: A short stable word for it.
    """

    path: _Path
    says: str
    reason: str


class ItemFields:
    """Takes the fields out of an item; a field that is no good is noted and comes back empty.

    Args:
        item: As the file has it.

    Attributes:
        problems: What was wrong with the fields taken so far, in that order.
    """

    def __init__(self, item: JsonObject) -> None:
        self._item = item
        self.problems = [
            Problem((name,), f"{name} stands in it more than once", "bad_field")
            for name in item.repeated
            if name in FIELDS
        ]

    def id(self) -> str:
        """The id in NFC; a whole number by its digits. One that cannot name files is noted."""
        value = self._item.get("id", _ABSENT)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        name = nfc(self._text(("id",), value, "a text or a whole number"))
        fault = name_fault(name) if name else None
        if fault:
            says = f"its id {shown(name)} names folders and files, but {fault}"
            self._note(("id",), says, "unsafe_id")
        return name

    def text(self, name: str) -> str:
        """A text that says something."""
        value = self._text((name,), self._item.get(name, _ABSENT))
        if value and not value.strip():
            self._note((name,), f"{name} is blank")
        return value

    def video_path(self) -> str:
        """The path as written. One that could lead out of a folder is noted."""
        value = self.text("video_path")
        fault = path_fault(value) if value else None
        if fault:
            says = f"video_path = {shown(value)} is not below the videos: {fault}"
            self._note(("video_path",), says, "unsafe_path")
        return value

    def choices(self) -> tuple[str, ...]:
        """A list of texts."""
        return tuple(
            value for path, value in self._elements("choices") if self._is_text(path, value)
        )

    def support_frames(self) -> tuple[float, ...]:
        """A list of finite numbers."""
        times = []
        for path, value in self._elements("support_frames"):
            if isinstance(value, bool) or not isinstance(value, int | float):
                self._note(path, f"{_is(path, value)} not a number")
            elif not math.isfinite(value):
                self._note(path, f"{_is(path, value)} not a finite number")
            else:
                times.append(float(value))
        return tuple(times)

    def _elements(self, name: str) -> Iterator[tuple[_Path, Any]]:
        values = self._item.get(name, _ABSENT)
        if isinstance(values, list):
            yield from (((name, number), value) for number, value in enumerate(values))
        elif values is _ABSENT:
            self._note((name,), f"{name} is missing", "missing_field")
        else:
            self._note(
                (name,), f"{_is((name,), values)} not a list; where there are none, it is []"
            )

    def _text(self, path: _Path, value: Any, wanted: str = "a text") -> str:
        if value is _ABSENT:
            self._note(path, f"{path[0]} is missing", "missing_field")
        elif value == "":
            self._note(path, f"{path[0]} is empty")
        elif self._is_text(path, value, wanted):
            return str(value)
        return ""

    def _is_text(self, path: _Path, value: Any, wanted: str = "a text") -> bool:
        if not isinstance(value, str):
            self._note(path, f"{_is(path, value)} not {wanted}")
        elif not encodable(value):
            self._note(path, f"{_is(path, value)} not valid Unicode: it holds half a character")
        else:
            return True
        return False

    def _note(self, path: _Path, says: str, reason: str = "bad_field") -> None:
        self.problems.append(Problem(path, says, reason))


def shown(value: Any) -> str:
    """A value as JSON on one short line; what could move a terminal's cursor is escaped."""
    if isinstance(value, list | dict):
        return "[…]" if isinstance(value, list) else "{…}"
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in short(text))


def short(text: str) -> str:
    """``text``, cut where it is too long for a message."""
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def encodable(text: str) -> bool:
    """Whether ``text`` is whole Unicode; bytes that were none leave half a character."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _is(path: _Path, value: Any) -> str:
    where = "".join(f"[{part}]" if isinstance(part, int) else part for part in path)
    return f"{where} = {shown(value)} is"

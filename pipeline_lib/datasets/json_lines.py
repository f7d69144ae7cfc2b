"""Where the values of a JSON text stand, so that a fault in one of them can name its line."""

import json
import re
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from json.decoder import JSONDecodeError, scanstring  # type: ignore[attr-defined]
from pathlib import Path
from typing import Any

from pipeline_lib.errors import DataError

_BLANK = re.compile(r"[ \t\n\r]*")
_LINE_END = re.compile(r"\r\n|\r|\n")
# Longer ones become floating-point numbers: Python refuses to read integers of some thousand
# digits, and one of more than 308 is no finite time either way.
_LONGEST_INTEGER = 300


def read_json_text(path: Path, what: str, hint: str) -> str:
    """The text of a JSON file in UTF-8, without its byte order mark.

    Args:
        path: The file.
        what: What it is called where it is missing.
        hint: What such a file holds.

    Raises:
        DataError: It is missing, cannot be read, or is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"No {what} {path}.", hint=hint) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}).") from None


@contextmanager
def naming_line(path: Path, lines: "Lines") -> Iterator[None]:
    """A context in which a fault of the JSON in ``path`` is told with its line and column.

    Raises:
        DataError: For any ``JSONDecodeError``.
    """
    try:
        yield
    except JSONDecodeError as error:
        line, column = lines.at(error.pos), lines.column(error.pos)
        raise DataError(f"{path}:{line}: not valid JSON: {error.msg} (column {column}).") from None


class JsonObject(dict[str, Any]):
    """An object of a JSON text; the last value of a repeated key wins, as in :mod:`json`.

    Attributes:
        repeated: The keys that stand in it more than once, in the order of the text.
    """

    __slots__ = ("repeated",)
    repeated: tuple[str, ...]

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.repeated = ()
        if len(self) < len(pairs):
            times = Counter(key for key, _ in pairs)
            self.repeated = tuple(key for key in self if times[key] > 1)


class JsonScanner:
    """Reads a JSON text from front to back and knows where it is.

    Like :mod:`json` it takes ``NaN`` and ``Infinity`` for numbers.

    Args:
        text: The whole text.
        position: Where to begin: at a value, or at blanks before one.

    Attributes:
        position: Of the value that is read next.
    """

    def __init__(self, text: str, position: int = 0) -> None:
        self._text = text
        self._decoder = json.JSONDecoder(object_pairs_hook=JsonObject, parse_int=_integer)
        self.position = self._after_blanks(position)

    def value(self) -> Any:
        """Read the value here.

        Raises:
            JSONDecodeError: It is not valid JSON, or nested too deeply to be read.
        """
        start = self.position
        try:
            value, self.position = self._decoder.raw_decode(self._text, start)
        except RecursionError:
            raise JSONDecodeError("Nested too deeply to be read", self._text, start) from None
        return value

    def at_object(self) -> bool:
        """Whether an object begins here."""
        return self._text.startswith("{", self.position)

    def at_array(self) -> bool:
        """Whether an array begins here."""
        return self._text.startswith("[", self.position)

    def members(self) -> Iterator[tuple[str, int]]:
        """Walk through the object here.

        Yields:
            Each key and its position, with the scanner at its value; a value that is not read
            before the next key is skipped.

        Raises:
            JSONDecodeError: Here is no object, or it is not valid JSON.
        """
        self._expect("{")
        if self._took("}"):
            return
        while True:
            start = self.position
            key = self._key()
            self._expect(":")
            before = self.position
            yield key, start
            self._skip_unread(before)
            if self._took("}"):
                return
            self._expect(",")

    def elements(self) -> Iterator[int]:
        """Walk through the array here.

        Yields:
            The position of each element, with the scanner at it; one that is not read before the
            next is skipped.

        Raises:
            JSONDecodeError: Here is no array, or it is not valid JSON.
        """
        self._expect("[")
        if self._took("]"):
            return
        while True:
            before = self.position
            yield before
            self._skip_unread(before)
            if self._took("]"):
                return
            self._expect(",")

    def end(self) -> None:
        """Check that nothing follows.

        Raises:
            JSONDecodeError: Something does.
        """
        self.position = self._after_blanks(self.position)
        if self.position < len(self._text):
            raise JSONDecodeError("Extra data", self._text, self.position)

    def _key(self) -> str:
        if not self._took('"'):
            raise JSONDecodeError("Expecting a key in double quotes", self._text, self.position)
        key, after = scanstring(self._text, self.position, True)
        self.position = self._after_blanks(after)
        return str(key)

    def _skip_unread(self, before: int) -> None:
        if self.position == before:
            self.value()
        self.position = self._after_blanks(self.position)

    def _took(self, mark: str) -> bool:
        if not self._text.startswith(mark, self.position):
            return False
        self.position += 1
        return True

    def _expect(self, mark: str) -> None:
        if not self._took(mark):
            raise JSONDecodeError(f"Expecting '{mark}'", self._text, self.position)
        self.position = self._after_blanks(self.position)

    def _after_blanks(self, position: int) -> int:
        found = _BLANK.match(self._text, position)
        return found.end() if found else position


class Lines:
    """The lines of a text; CR LF, LF and a lone CR end one."""

    def __init__(self, text: str) -> None:
        self._ends = array("q", (found.end() for found in _LINE_END.finditer(text)))

    def at(self, position: int) -> int:
        """The line, from 1, that a position of the text is on."""
        return bisect_right(self._ends, position) + 1

    def column(self, position: int) -> int:
        """The character of its line, from 1, that a position of the text is."""
        before = bisect_right(self._ends, position)
        return position - (self._ends[before - 1] if before else 0) + 1


def find_value(text: str, position: int, *path: str | int) -> int:
    """Where a value inside the value at ``position`` begins.

    Args:
        text: JSON that can be read there.
        position: Where the outer value begins.
        path: Keys and element numbers that lead into it. Of a repeated key the last is meant.

    Raises:
        KeyError: There is no such value.
        JSONDecodeError: A key is looked up in what is no object, a number in what is no array.
    """
    for part in path:
        scanner = JsonScanner(text, position)
        found = None
        if isinstance(part, str):
            for key, _ in scanner.members():
                found = scanner.position if key == part else found
        else:
            for number, start in enumerate(scanner.elements()):
                found = start if number == part else found
        if found is None:
            raise KeyError(part)
        position = found
    return position


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else float(digits)

"""Pickles of plain values, read without running what is inside.

A pickle is a program that may call any function it names. Here it can name nothing but the few
that plain values need, and everything else is an error before anything is called.
"""

import io
import pickle
from pathlib import Path
from typing import Any

from pipeline_lib.errors import DataError

_BUILTINS = frozenset(("builtins", "__builtin__"))


class _ForbiddenError(Exception):
    """The pickle names something that is no plain value."""


class _PlainUnpickler(pickle.Unpickler):
    """Knows lists, tuples, dicts, sets, numbers, texts and bytes."""

    def find_class(self, module: str, name: str) -> Any:
        if module in _BUILTINS and name in ("set", "frozenset"):
            return set if name == "set" else frozenset
        # How protocols that know no bytes write them.
        if module in _BUILTINS and name == "bytes":
            return _no_bytes
        if (module, name) == ("_codecs", "encode"):
            return _from_latin1
        raise _ForbiddenError(f"{module}.{name}")


def read_plain_pickle(path: Path) -> Any:
    """The value in a pickle of any protocol.

    Texts of Python 2 come as bytes, see :func:`as_text`.

    Raises:
        DataError: The file cannot be read, is damaged, or holds more than plain values.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from None
    try:
        return _PlainUnpickler(io.BytesIO(content), encoding="bytes").load()
    except _ForbiddenError as error:
        raise DataError(
            f"{path}: refused: the pickle asks for {error}, and only lists, dicts, texts and "
            "numbers are read.",
            hint="A file of captions needs nothing else; this one could run any program.",
        ) from None
    except Exception as error:  # noqa: BLE001  # a damaged pickle makes the reader raise anything
        raise DataError(f"{path}: not a readable pickle ({error}).") from None


def as_text(value: Any) -> str | None:
    """A text or the bytes of one; ``None`` where ``value`` is neither."""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return value.decode("latin-1")
    return value if isinstance(value, str) else None


def _no_bytes(*arguments: Any) -> bytes:
    if arguments:
        raise _ForbiddenError("bytes with arguments")
    return b""


def _from_latin1(text: Any, encoding: Any = "latin1") -> bytes:
    known = as_text(encoding) in ("latin1", "latin-1")
    if not known or not isinstance(text, str | bytes):
        raise _ForbiddenError("_codecs.encode of something else")
    return text if isinstance(text, bytes) else text.encode("latin-1")

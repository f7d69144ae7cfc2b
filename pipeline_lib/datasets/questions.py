"""Questions about videos, with the moments that answer them: ``<root>/qa.json``."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import ErrorDetails

from pipeline_lib.errors import DataError
from pipeline_lib.paths import nfc

_SHAPE = '{"data": [{id, question, choices, video_path, support_frames}]}'
_Text = Annotated[str, Field(min_length=1)]
_Time = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(strict=True))
class Question:
    """One item; other keys of the file are left alone.

    Attributes:
        id: Unique within the file, in NFC.
        question: The words.
        choices: The possible answers, may be empty.
        video_path: Relative to ``<root>/videos``, as written.
        support_frames: Seconds at which the answer can be seen, as written, may be empty.
    """

    id: _Text
    question: _Text
    choices: tuple[str, ...]
    video_path: _Text
    support_frames: tuple[_Time, ...]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(strict=True))
class _File:
    data: tuple[Question, ...]


def read_questions(path: Path) -> tuple[Question, ...]:
    """Read a question file, in its own order.

    Args:
        path: JSON in UTF-8, with or without byte order mark.

    Raises:
        DataError: The file cannot be read or is not JSON, an item lacks a field or has a wrong
            type there, or two items have one id. The message names the item and the field.
    """
    text = _text(path)
    try:
        questions = TypeAdapter(_File).validate_json(text).data
    except ValidationError as error:
        raise _explain(path, text, error.errors()) from None
    questions = tuple(replace(question, id=nfc(question.id)) for question in questions)
    _refuse_repeated(path, questions)
    return questions


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(
            f"No question file {path}.", hint=f"It holds {_SHAPE}, times in seconds."
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}).") from None


def _explain(path: Path, text: str, problems: Sequence[ErrorDetails]) -> DataError:
    first = problems[0]
    if first["type"] == "json_invalid":
        return DataError(f"{path}: not valid JSON: {first['ctx']['error']}.")
    loc = tuple(first["loc"])
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    where = where.removeprefix(".") or "the file"
    more = f" ({len(problems) - 1} more problems in this file)" if len(problems) > 1 else ""
    named = _named(text, loc)
    if first["type"] == "missing":
        message = f"{path}: {where}{named} is missing{more}."
    else:
        fault = first["msg"].replace("Input should", "should").replace("String should", "should")
        shown = json.dumps(first["input"], ensure_ascii=False)
        message = f"{path}: {where}{named} = {_short(shown)}: {fault}{more}."
    return DataError(message, hint=f"The file holds {_SHAPE}, times in seconds.")


def _named(text: str, loc: tuple[int | str, ...]) -> str:
    """`` (item 'id')`` where the item at ``loc`` has one: a person searches for that."""
    if len(loc) < 2:
        return ""
    item: Any = json.loads(text)["data"][loc[1]]
    name = item.get("id") if isinstance(item, dict) else None
    return f" (item {name!r})" if isinstance(name, str) and name else ""


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"


def _refuse_repeated(path: Path, questions: Sequence[Question]) -> None:
    first: dict[str, int] = {}
    for number, question in enumerate(questions):
        if question.id in first:
            raise DataError(
                f"{path}: data[{first[question.id]}] and data[{number}] have the same id "
                f"{question.id!r}.",
                hint="Ids name the mined files; give each item its own.",
            )
        first[question.id] = number

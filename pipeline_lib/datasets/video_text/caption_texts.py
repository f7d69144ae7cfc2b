"""Captions as they come out of annotation files."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline_lib.datasets.json_lines import JsonObject
from pipeline_lib.datasets.question_fields import encodable, shown
from pipeline_lib.datasets.video_lists.faults import Fault, refuse_faults
from pipeline_lib.datasets.video_text.json_files import json_elements


def plain_texts(texts: Iterable[str]) -> tuple[str, ...]:
    """Without blanks around them, and without blank ones; equal ones stay."""
    return tuple(text for text in map(str.strip, texts) if text)


def paragraph(texts: Iterable[str]) -> tuple[str, ...]:
    """All sentences of a video as its one caption; none where there are none."""
    return plain_texts([" ".join(plain_texts(texts))])


def texts_fault(value: Any, name: str) -> str | None:
    """Why a value of a JSON file is no list of texts, or ``None`` where it is one."""
    if not isinstance(value, list):
        return f"{name} = {shown(value)} is not a list"
    for number, text in enumerate(value):
        if not isinstance(text, str) or not encodable(text):
            return f"{name}[{number}] = {shown(text)} is not a text"
    return None


def read_sentences(
    path: Path, video: str, sentence: str, key: str | None = None
) -> list[tuple[int, str, str]]:
    """The sentences in a JSON list of objects.

    Args:
        path: The file.
        video: The field with the id of the video.
        sentence: The field with the words.
        key: Of the list, where an object holds it.

    Returns:
        Line, id as written and words of each, in the order of the file.

    Raises:
        DataError: The file cannot be read, or an object lacks one of the fields.
    """
    shape = f"[{{{video}, {sentence}, …}}, …]"
    hint = f"It holds {shape}." if key is None else f'It holds {{"{key}": {shape}}}.'
    rows, faults = [], []
    for line, value in json_elements(path, "caption file", hint, key):
        fields = [value.get(video), value.get(sentence)] if isinstance(value, JsonObject) else None
        fault = texts_fault(fields, f"[{video}, {sentence}]") if fields else None
        if fields is None:
            faults.append(Fault(line, f"{shown(value)} is not an object"))
        elif fault:
            faults.append(Fault(line, fault))
        else:
            rows.append((line, str(fields[0]), str(fields[1])))
    refuse_faults(path, faults, hint)
    return rows

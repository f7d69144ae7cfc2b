"""From what lists say of videos to class indices and values."""

import logging
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pipeline_lib.datasets.video_clips.entries import Entries, Entry
from pipeline_lib.datasets.video_clips.targets import like_ratio_target, view_count_target
from pipeline_lib.datasets.video_lists.faults import Fault, refuse_faults
from pipeline_lib.datasets.video_lists.text_files import read_names
from pipeline_lib.errors import ConfigError, DataError, did_you_mean

_LOG = logging.getLogger(__name__)
# A table that went through another program may write the class 3 as 3.0. No more than six digits:
# each number up to the largest is a class.
_NUMBER = re.compile(r"(\d{1,6})(?:\.0+)?", re.ASCII)
_LISTED = 5
T = TypeVar("T", int, float)
_FORMULAS: dict[str, Callable[..., float]] = {
    "none": float,
    "view_count": view_count_target,
    "like_ratio": like_ratio_target,
}


@dataclass(frozen=True)
class Classes:
    """What the classes are called, and how lists write them.

    Attributes:
        names: By index.
        index: Of each class that a video may have, by what lists write.
        numbered: Lists write the index, and otherwise the name.
        source: What they are taken from, for messages.
    """

    names: tuple[str, ...]
    index: Mapping[str, int]
    numbered: bool
    source: str = "train"

    def of(self, entries: Entries) -> list[int]:
        """The class of each video.

        Raises:
            DataError: A video has a class that no other one is trained for.
        """
        return _all(entries, self._of)

    def _of(self, entry: Entry) -> int | str:
        cell = entry.cells[0]
        found = self.index.get(_digits(cell) if self.numbered else cell)
        if found is not None:
            return found
        if self.numbered and not _NUMBER.fullmatch(cell):
            return f"class {cell!r} is not a number, and in train all are"
        near = "" if self.numbered else f" {did_you_mean(cell, self.index)}"
        return f"class {cell!r} is not in {self.source}.{near}"


def numbered_classes(deciding: list[Entries], class_names: str | None) -> Classes | None:
    """The classes of lists that write indices; ``None`` where they write names.

    Args:
        deciding: The list of ``train``, or all of them where there is none.
        class_names: File of the names; then a class need not have a training video.

    Raises:
        DataError: Some are numbers and some are not, or the file of names cannot be used.
    """
    entries = [entry for split in deciding for entry in split.videos]
    cells = {entry.cells[0] for entry in entries}
    numbers = {cell for cell in cells if _NUMBER.fullmatch(cell)}
    if not numbers:
        return None
    if numbers != cells:
        for split in deciding:
            _refuse_mixture(split, fewer_numbers=2 * len(numbers) < len(cells))
    words = {int(_digits(entry.cells[0])): entry.class_name for entry in entries}
    if class_names:
        names = read_names(Path(class_names))
        index = {str(number): number for number in range(len(names))}
    else:
        names = tuple(words.get(n) or str(n) for n in range(max(words) + 1))
        index = {str(number): number for number in sorted(words)}
    unseen = [str(number) for number in range(len(names)) if number not in words]
    if unseen:
        more = f" and {len(unseen) - _LISTED} more" if len(unseen) > _LISTED else ""
        some = ", ".join(unseen[:_LISTED])
        _LOG.warning("%s: no video of class %s%s", deciding[0].source, some, more)
    return Classes(names, index, numbered=True, source=class_names or "train")


def named_classes(deciding: list[Entries]) -> Classes:
    """The classes of videos that bear their names, sorted.

    Raises:
        DataError: There are none.
    """
    names = sorted({entry.cells[0] for split in deciding for entry in split.videos})
    if not names:
        raise DataError("No video of a class.")
    return Classes(tuple(names), {name: n for n, name in enumerate(names)}, numbered=False)


def values_of(entries: Entries, target: str) -> list[float]:
    """What is learned of each video.

    Args:
        entries: Of lists.
        target: ``none`` leaves the value as it is; ``view_count`` and ``like_ratio`` are those of
            :mod:`~pipeline_lib.datasets.video_clips.targets`.

    Raises:
        ConfigError: The lists have no likes and dislikes.
        DataError: A value is not a number.
    """
    formula = _FORMULAS[target]
    numbers = 2 if target == "like_ratio" else 1
    if any(len(entry.cells) != numbers for entry in entries.videos):
        raise ConfigError(
            f"dataset.target = {target!r} is made of likes and dislikes.",
            hint="Only lists of format lvu have them; leave dataset.column out.",
        )

    def value(entry: Entry) -> float | str:
        try:
            numbers = [float(cell) for cell in entry.cells]
        except ValueError:
            return f"{' '.join(entry.cells)!r} is not a number"
        if not all(map(math.isfinite, numbers)):
            return f"{' '.join(entry.cells)!r} is not finite"
        try:
            return formula(*numbers)
        except DataError as error:
            return error.message

    return _all(entries, value)


def _all(entries: Entries, read: Callable[[Entry], T | str]) -> list[T]:
    """What ``read`` gives for each video; the words it gives instead are faults of their lines."""
    found: list[T] = []
    faults: list[Fault] = []
    for entry in entries.videos:
        given = read(entry)
        if not isinstance(given, str):
            found.append(given)
        elif entry.line is None:
            raise DataError(f"{entries.source}: {given}")
        else:
            faults.append(Fault(entry.line, given))
    refuse_faults(entries.source, faults)
    return found


def _refuse_mixture(entries: Entries, *, fewer_numbers: bool) -> None:
    odd = [
        Fault(
            entry.line or 0, f"class {entry.cells[0]!r} is {'a' if fewer_numbers else 'no'} number"
        )
        for entry in entries.videos
        if bool(_NUMBER.fullmatch(entry.cells[0])) == fewer_numbers
    ]
    refuse_faults(entries.source, odd, "Classes are either all numbers from 0 or all names.")


def _digits(cell: str) -> str:
    """A number as Python writes it; anything else as it is."""
    match = _NUMBER.fullmatch(cell)
    return str(int(match[1])) if match else cell

"""Faults of a list, all of them told at once with their lines."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline_lib.errors import DataError

_LISTED = 10


@dataclass(frozen=True)
class Fault:
    """Something in a file that cannot be used.

    Attributes:
        line: Of the file, from 1.
        says: What is wrong.
    """

    line: int
    says: str


def refuse_faults(path: Path, faults: Iterable[Fault], hint: str | None = None) -> None:
    """Raise one error that counts all faults of a file and names the first ten.

    Raises:
        DataError: There is a fault.
    """
    found = sorted(faults, key=lambda fault: fault.line)
    if not found:
        return
    entries = "1 entry" if len(found) == 1 else f"{len(found)} entries"
    listed = [f"line {fault.line}: {fault.says}" for fault in found[:_LISTED]]
    if len(found) > _LISTED:
        listed.append(f"and {len(found) - _LISTED} more")
    lines = "\n  ".join(listed)
    raise DataError(f"{path}: {entries} cannot be used:\n  {lines}", hint=hint)

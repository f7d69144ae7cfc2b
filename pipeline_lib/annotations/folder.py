"""The folder of annotation tables, one for each class that has events."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline_lib.annotations.events_csv import EventRow, read_events
from pipeline_lib.annotations.names import match_name
from pipeline_lib.errors import DataError, did_you_mean
from pipeline_lib.paths import nfc

_LOG = logging.getLogger(__name__)
_ENDING = "_timestamp.csv"


@dataclass(frozen=True)
class EventTable:
    """All rows of one class's table."""

    path: Path
    rows: tuple[EventRow, ...]


def read_event_tables(folder: Path, classes: Sequence[str]) -> dict[str, EventTable]:
    """Read every ``{class}_timestamp.csv`` of ``folder``.

    Args:
        folder: The annotation folder; hidden files and other types are left out.
        classes: Class directories. A table belongs to the one of its name, else to the only one
            of its name but for letter case.

    Returns:
        Class directory to table, sorted by class.

    Raises:
        DataError: The folder is missing or holds no table, a CSV is not named after a class,
            two tables belong to one class, or a table is bad.
    """
    hint = (
        f"Put one {{class}}{_ENDING} for each class with events into it; where no class has any, "
        "set train.strict_normal_sampling: false."
    )
    if not folder.is_dir():
        raise DataError(f"No annotation folder {folder}.", hint=hint)
    paths = table_paths(folder)
    if not paths:
        raise DataError(f"The annotation folder {folder} holds no table.", hint=hint)
    tables: dict[str, EventTable] = {}
    for path in paths:
        class_name = _class_of(path, classes)
        if class_name in tables:
            raise DataError(
                f"{tables[class_name].path} and {path} are both tables of class {class_name!r}.",
                hint="Join them into one.",
            )
        tables[class_name] = EventTable(path, read_events(path))
        if not tables[class_name].rows:
            _LOG.warning("%s has a header and no events.", path)
    return dict(sorted(tables.items()))


def table_paths(folder: Path) -> list[Path]:
    """The CSV files of ``folder``, sorted; none where it does not exist."""
    if not folder.is_dir():
        return []
    visible = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in visible if path.suffix.lower() == ".csv")


def _class_of(path: Path, classes: Sequence[str]) -> str:
    name = nfc(path.name)
    if not name.lower().endswith(_ENDING):
        raise DataError(
            f"{path} is not named {{class}}{_ENDING}.",
            hint=f"Rename it, or move it out of {path.parent}.",
        )
    written = name[: -len(_ENDING)]
    class_name = match_name(written, classes)
    if class_name is None:
        raise DataError(
            f"{path}: no class {written!r}: no training video of that name has features.",
            hint=f"{did_you_mean(written, classes)} Rename the file after its class directory.",
        )
    return class_name

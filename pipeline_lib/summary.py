"""Every metric beside its controls, read from the metrics files."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_lib.errors import DataError

CONTROLS = "control"
GAIN = "gain"
_HEADLINE_DEPTH = 3  # split, level, metric; a class name comes below
# What stands behind a headline that asks nearly the same, and the deviation of a mean.
_FINE_PRINT = (
    "weighted_f1", "macro_auc", "mean_average_precision", "auc_within_event_videos",
    "video_accuracy", "_r50", "_mnr", "_std",
)  # fmt: skip
_NAMED_PICTURES = 6


@dataclass(frozen=True)
class Gain:
    """How far a number is above that of the model before training.

    Attributes:
        mean: Of the differences, ``None`` where undefined.
        se: Its standard error, ``None`` where undefined.
    """

    mean: float | None
    se: float | None


@dataclass(frozen=True)
class Row:
    """One number and what it must beat.

    Attributes:
        model: Name of the metrics file.
        path: Nested names: ``("test", "frame", "accuracy")``.
        value: The number, ``None`` where undefined.
        controls: The same metric of each control; empty for a number that has none.
        gain: Over the control ``zero_shot``, where the metrics tell it.
    """

    model: str
    path: tuple[str, ...]
    value: float | None
    controls: dict[str, float | None]
    gain: Gain | None = None

    @property
    def metric(self) -> str:
        """The dotted name, as DVC writes it: ``test.frame.accuracy``."""
        return ".".join(self.path)


def read_rows(metrics: Path) -> list[Row]:
    """Rows of all ``*.json`` files of a folder, in the order of file names and of keys.

    Args:
        metrics: Usually ``metrics/``.

    Raises:
        DataError: There is no metrics file, or one is not JSON of numbers.
    """
    files = sorted(metrics.glob("*.json"))
    if not files:
        raise DataError(
            f"No metrics in {metrics}/.", hint="`dvc repro` makes them; or run an evaluate stage."
        )
    return [row for file in files for row in rows_of(file.stem, _read(file))]


def rows_of(model: str, tree: dict[str, Any]) -> list[Row]:
    """Rows of one model's metrics. Words and switches, which say how it was made, get none.

    Below each node that has a sub-tree ``control``, every other number is set beside the same
    name in each of the controls; a sub-tree ``gain`` holds ``mean`` and ``se`` under such names.

    Args:
        model: The model's name.
        tree: Nested names to numbers or ``None``.

    Raises:
        DataError: ``control`` or ``gain``, or a control, is a number instead of a sub-tree.
    """
    rows = []
    for name, branch in tree.items():
        if not isinstance(branch, dict):
            if _is_number(branch):
                rows.append(Row(model, (name,), branch, {}))
            continue
        controls = {
            control: dict(_leaves(values))
            for control, values in _branch(model, name, branch, CONTROLS).items()
        }
        gains = dict(_leaves(_branch(model, name, branch, GAIN)))
        own = {key: value for key, value in branch.items() if key not in (CONTROLS, GAIN)}
        for path, value in filter(lambda leaf: _is_number(leaf[1]), _leaves(own)):
            beside = {c: found[path] for c, found in controls.items() if path in found}
            mean, error = (*path, "mean"), (*path, "se")
            gain = Gain(gains[mean], gains.get(error)) if mean in gains else None
            rows.append(Row(model, (name, *path), value, beside, gain))
    return rows


def _branch(model: str, name: str, tree: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    branch = tree.get(kind, {})
    if not isinstance(branch, dict) or not all(isinstance(v, dict) for v in branch.values()):
        raise DataError(
            f"{model}.json: {name}.{kind} has to hold a sub-tree for each name.",
            hint="Run the stage that writes it again, or `git checkout` the file.",
        )
    return branch


def headlines(rows: list[Row]) -> list[Row]:
    """The rows for a first look: what stands beside a control, once, and is of no single class."""
    return [
        row
        for row in rows
        if row.controls
        and len(row.path) <= _HEADLINE_DEPTH
        and not row.path[-1].endswith(_FINE_PRINT)
    ]


def name_pictures(*folders: Path) -> list[str]:
    """Paths of the PNG files below ``folders``; a folder that holds many is named once."""
    names = []
    for folder in folders:
        pictures = sorted(folder.rglob("*.png"))
        for parent in dict.fromkeys(picture.parent for picture in pictures):
            of_parent = [str(picture) for picture in pictures if picture.parent == parent]
            many = len(of_parent) > _NAMED_PICTURES
            names += [f"{parent}/ ({len(of_parent)} pictures)"] if many else of_parent
    return names


def _is_number(value: Any) -> bool:
    """Undefined numbers count, truth values do not."""
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _leaves(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not isinstance(tree, dict):
        yield path, tree
        return
    for name, branch in tree.items():
        yield from _leaves(branch, (*path, name))


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON; an undefined value is null")


def _read(file: Path) -> dict[str, Any]:
    try:
        tree = json.loads(file.read_text(encoding="utf-8"), parse_constant=_refuse)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file}: not readable as JSON: {error}") from None
    if not isinstance(tree, dict):
        raise DataError(f"{file}: expected names and numbers, found {type(tree).__name__}.")
    strange = [path for path, value in _leaves(tree) if isinstance(value, list)]
    if strange:
        raise DataError(f"{file}: {'.'.join(strange[0])} is a list, not a number.")
    return tree

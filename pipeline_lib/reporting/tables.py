"""Files of numbers, read so that a fault in one is told by its name."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline_lib.errors import DataError

_REMAKE = "Make it again: `dvc repro`."


def read_csv(path: Path, columns: Sequence[str] = (), text: bool = False) -> pd.DataFrame:
    """A CSV file with the given columns.

    Args:
        path: The file.
        columns: Those it must have.
        text: Take every cell as the words it holds; an empty one is ``""``.

    Raises:
        DataError: It cannot be read as CSV, or lacks a column.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False) if text else pd.read_csv(path)
    except pd.errors.EmptyDataError:
        raise DataError(f"{path}: is empty.", hint=_REMAKE) from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not readable as CSV: {error}", hint=_REMAKE) from None
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise DataError(
            f"{path}: no column {missing[0]!r}; it has {', '.join(map(str, table.columns))}.",
            hint=_REMAKE,
        )
    return table


def read_numbers(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """The given columns of a CSV file as numbers, empty cells as NaN.

    Raises:
        DataError: As :func:`read_csv`; or a cell is no number.
    """
    table = read_csv(path, columns)[list(columns)]
    for name in columns:
        if not pd.api.types.is_numeric_dtype(table[name]):
            cells = table[name][pd.to_numeric(table[name], errors="coerce").isna()].dropna()
            bad = cells.iloc[0] if len(cells) else ""
            raise DataError(f"{path}: column {name!r} holds {bad!r}, no number.", hint=_REMAKE)
    return table.astype(float)


def read_tree(path: Path) -> dict[str, Any]:
    """A JSON file of names and values.

    Raises:
        DataError: It cannot be read, or holds something else.
    """
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not readable as JSON: {error}", hint=_REMAKE) from None
    if not isinstance(tree, dict):
        raise DataError(f"{path}: expected names and values, found {type(tree).__name__}.")
    return tree


def at_most(table: pd.DataFrame, rows: int) -> pd.DataFrame:
    """The table, or ``rows`` of its rows at even distances, the first and the last among them."""
    if len(table) <= rows:
        return table
    return table.iloc[np.unique(np.linspace(0, len(table) - 1, rows).round().astype(int))]

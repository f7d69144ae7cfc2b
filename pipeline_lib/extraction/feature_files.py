"""Feature files that others made: where they lie, and whether one can be used.

The layout is ``{train,val,test}/{class}/{stem}.npy``, float [T, D], one row a second.
"""

from collections import Counter
from pathlib import Path
from tokenize import TokenError

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.datasets.layout import SPLITS
from pipeline_lib.errors import DataError, nearest
from pipeline_lib.video.files import FoundVideos, by_id, files_below

SUFFIX = ".npy"
LAYOUT = "Expected FOLDER/{train,val,test}/{class}/{stem}.npy, each a float array [T, D]."
# What numpy raises on a file that is none of its own, by where the damage lies.
_UNREADABLE = (ValueError, TypeError, OverflowError, EOFError, OSError, SyntaxError, TokenError)
_LISTED = 3


class FeatureFileError(DataError):
    """One feature file cannot be used.

    Attributes:
        reason: A short stable word for failure tables: ``unreadable``, ``wrong_shape``,
            ``wrong_type``, ``empty``, ``wrong_size``, ``not_finite``, ``no_direction`` or
            ``before_start``.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def find_feature_files(folder: Path) -> FoundVideos:
    """The feature files of a data set, named as the videos they were made of.

    Args:
        folder: Holds ``train``, ``val`` and ``test``.

    Raises:
        DataError: It does not, or there is no ``.npy`` file.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder.", hint=LAYOUT)
    if not (folder / SPLITS[0]).is_dir():
        raise DataError(f"{folder} has no folder {SPLITS[0]!r}.", hint=_nearby(folder))
    found = files_below(folder, {SUFFIX})
    if not found:
        raise DataError(f"{folder} holds no {SUFFIX} file{_other_files(folder)}.", hint=LAYOUT)
    return by_id(found)


def read_rows(path: Path, dim: int) -> NDArray[np.float32]:
    """The rows of one file, float32 [T, D]; memory-mapped where they already are float32.

    Args:
        path: A ``.npy`` file; it is never unpickled.
        dim: The D it must have.

    Raises:
        FeatureFileError: It cannot be read, is no float array [T, D] with T > 0, or has a row
            that is not finite or has no direction.
    """
    try:
        stored = np.lib.format.open_memmap(path, mode="r")
    except _UNREADABLE as error:
        raise FeatureFileError(
            f"{path}: not a readable {SUFFIX} file: {error}.", reason="unreadable"
        ) from None
    if stored.dtype.kind != "f":
        raise FeatureFileError(
            f"{path}: expected floating-point numbers, found {stored.dtype}.", reason="wrong_type"
        )
    if stored.ndim != 2:
        raise FeatureFileError(
            f"{path}: expected an array [T, D], found {list(stored.shape)}.", reason="wrong_shape"
        )
    if not len(stored):
        raise FeatureFileError(f"{path}: has no row.", reason="empty")
    if stored.shape[1] != dim:
        raise FeatureFileError(
            f"{path}: rows of {stored.shape[1]} numbers; the model's features have {dim}.",
            reason="wrong_size",
        )
    with np.errstate(over="ignore"):  # what becomes infinite is refused next
        rows = np.asarray(stored, dtype=np.float32)
    _require_directions(path, rows)
    return rows


def _require_directions(path: Path, rows: NDArray[np.float32]) -> None:
    """Only the direction of a row is ever used, so every row needs one."""
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if bad.size:
        raise FeatureFileError(
            f"{path}: row {bad[0]} holds NaN, infinity, or a number too large for float32"
            f"{_more(bad)}.",
            reason="not_finite",
        )
    with np.errstate(over="ignore"):
        lengths = np.linalg.norm(rows, axis=1)
    bad = np.flatnonzero((lengths == 0) | np.isinf(lengths))
    if bad.size:
        raise FeatureFileError(
            f"{path}: row {bad[0]} has length {lengths[bad[0]]:g} and so no direction{_more(bad)}.",
            reason="no_direction",
        )


def _more(rows: NDArray[np.int64]) -> str:
    return f"; so do {rows.size - 1} more rows" if rows.size > 1 else ""


def _nearby(folder: Path) -> str:
    """What the user may have meant by a folder without ``train``."""
    if folder.absolute().name in SPLITS:
        return f"Give the folder that holds {', '.join(SPLITS)}: {folder.absolute().parent}."
    folders = sorted(path.name for path in folder.iterdir() if path.is_dir())
    for name in folders:
        if name not in SPLITS and nearest(name, SPLITS) == SPLITS[0]:
            return f"{LAYOUT} Should {name!r} be {SPLITS[0]!r}?"
    return LAYOUT


def _other_files(folder: Path) -> str:
    """``; it holds 3 .pt`` for a folder of files of another kind."""
    visible = (
        path.suffix
        for path in folder.rglob("*")
        if path.suffix and path.is_file() and not path.name.startswith(".")
    )
    counts = sorted(Counter(visible).most_common(_LISTED))
    listed = ", ".join(f"{count} {suffix}" for suffix, count in counts)
    return f"; it holds {listed}" if listed else ""

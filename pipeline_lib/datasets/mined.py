"""What mining left for training and evaluation: ``items.parquet``, ``mined.parquet``, pictures."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline_lib.errors import DataError
from pipeline_lib.paths import path_fault
from pipeline_lib.storage.tables import read_parquet

ITEMS, FRAMES = "items.parquet", "mined.parquet"
ITEM_COLUMNS = (
    "id", "line", "video_path", "video_sha256", "question", "choices", "support_frames",
    "status", "reason", "message",
)  # fmt: skip
FRAME_COLUMNS = (
    "id", "kind", "segment", "path", "video_path", "source_index", "pts_s", "requested_s",
    "max_cosine", "question",
)  # fmt: skip
MINED, NO_SUPPORT_FRAMES, EXCLUDED, FAILED = STATUSES = (
    "mined", "no_support_frames", "excluded", "failed",
)  # fmt: skip
TRUE, NEGATIVE = KINDS = ("true", "neg")

_HINT = "Make it again: `dvc repro mine`."


@dataclass(frozen=True)
class Mined:
    """What a mining run left.

    Attributes:
        directory: Where it is.
        items: One row an item of the question file, sorted by id: ``id``, ``line``,
            ``video_path``, ``video_sha256`` (empty where unknown), ``question``, ``choices`` (tuple
            of texts), ``support_frames`` (tuple of seconds), ``status`` (of ``STATUSES``),
            ``reason`` and ``message`` (empty where mined). Mined items have ids of their own; those
            of failed items may be empty or repeated.
        frames: One row a saved frame: ``id`` of a mined item, ``kind`` (of ``KINDS``), ``segment``,
            ``path`` (a PNG that exists, relative to the directory), ``video_path``,
            ``source_index``, ``pts_s``, ``requested_s``, ``max_cosine``, ``question``. Every mined
            item has a true frame.
    """

    directory: Path
    items: pd.DataFrame
    frames: pd.DataFrame


def read_mined(directory: Path) -> Mined:
    """Read and check the directory that mining wrote.

    Raises:
        DataError: A table is missing or unreadable, lacks a column, or disagrees with the other; a
            picture is missing, or its path leads out of the directory.
    """
    items = read_parquet(directory / ITEMS, ITEM_COLUMNS)
    frames = read_parquet(directory / FRAMES, FRAME_COLUMNS)
    for column in ("choices", "support_frames"):
        items[column] = [tuple(values) for values in items[column]]
    _check_items(directory / ITEMS, items)
    _check_frames(directory / FRAMES, frames, items)
    _check_pictures(directory, frames)
    return Mined(directory, items, frames)


def _check_items(table: Path, items: pd.DataFrame) -> None:
    strange = items[~items["status"].isin(STATUSES)]
    if len(strange):
        raise _fault(table, f"item {_first(strange)} has status {strange['status'].iloc[0]!r}")
    mined = items[items["status"] == MINED]
    repeated = mined[mined["id"].duplicated() | (mined["id"] == "")]
    if len(repeated):
        raise _fault(table, f"more than one mined item {_first(repeated)}, or one without an id")


def _check_frames(table: Path, frames: pd.DataFrame, items: pd.DataFrame) -> None:
    mined = items[items["status"] == MINED]
    strange = frames[~frames["kind"].isin(KINDS)]
    if len(strange):
        raise _fault(
            table, f"a frame of item {_first(strange)} is of kind {strange['kind'].iloc[0]!r}"
        )
    foreign = frames[~frames["id"].isin(mined["id"])]
    if len(foreign):
        raise _fault(table, f"item {_first(foreign)} is not a mined item of {ITEMS}")
    without = mined[~mined["id"].isin(frames["id"][frames["kind"] == TRUE])]
    if len(without):
        raise _fault(table, f"no true frame of item {_first(without)}, which {ITEMS} calls mined")


def _check_pictures(directory: Path, frames: pd.DataFrame) -> None:
    for path in frames["path"]:
        fault = path_fault(path)
        if fault:
            raise _fault(directory / FRAMES, f"path {path!r} may not be used: {fault}")
        if not (directory / path).is_file():
            raise _fault(directory / FRAMES, f"no picture {directory / path}")


def _first(rows: pd.DataFrame) -> str:
    return repr(rows["id"].iloc[0])


def _fault(table: Path, says: str) -> DataError:
    return DataError(f"{table}: {says}.", hint=_HINT)

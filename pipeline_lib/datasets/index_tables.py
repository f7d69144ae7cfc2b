"""The tables of ``data/index``: windows of every video, and the events that labelled them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from pipeline_lib.annotations.strict_normal import Event
from pipeline_lib.storage.tables import read_parquet

WINDOW_COLUMNS = (
    "video", "split", "class_name", "start_row", "n_rows", "start_s", "end_s",
    "overlaps_event", "label", "kept", "reason",
)  # fmt: skip
EVENT_COLUMNS = ("video", "start_s", "end_s")

_TEXT = ("video", "split", "class_name", "label", "reason")


def read_windows(path: Path) -> pd.DataFrame:
    """Read ``windows.parquet``; text columns are categories.

    Raises:
        DataError: The file is missing, unreadable or lacks a column.
    """
    return categorical(read_parquet(path, WINDOW_COLUMNS))


def categorical(windows: pd.DataFrame) -> pd.DataFrame:
    """``windows`` with text columns as categories: a string that repeats costs one number."""
    return windows.astype(dict.fromkeys(_TEXT, "category"))


def read_event_table(path: Path) -> pd.DataFrame:
    """Read ``events.parquet``, a table of :func:`event_table`.

    Raises:
        DataError: The file is missing, unreadable or lacks a column.
    """
    return read_parquet(path, EVENT_COLUMNS)


def event_table(events: Mapping[str, Sequence[Event]]) -> pd.DataFrame:
    """One row an event, in the order given: ``video``, ``start_s``, ``end_s``."""
    rows = [(video, *event) for video, found in events.items() for event in found]
    kinds = dict(zip(EVENT_COLUMNS, ("str", "float64", "float64"), strict=True))
    return pd.DataFrame(rows, columns=list(EVENT_COLUMNS)).astype(kinds)

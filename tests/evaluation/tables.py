"""Small windows tables for the tests of evaluation."""

import pandas as pd


def window_row(
    video: str, start: int, *, label: str | None = None, overlaps: bool = False, kept: bool = True
) -> dict[str, object]:
    """One row of a windows table; the label is the directory's unless given."""
    split, class_name, _ = video.split("/")
    chosen = class_name if label is None else label
    return {
        "video": video,
        "split": split,
        "class_name": class_name,
        "start_row": start,
        "n_rows": 1,
        "start_s": float(start),
        "end_s": float(start + 1),
        "overlaps_event": overlaps,
        "label": chosen if kept else "",
        "kept": kept,
        "reason": "" if kept else "after_first_event",
    }


def windows_table(*rows: dict[str, object]) -> pd.DataFrame:
    """A windows table of ``rows``."""
    return pd.DataFrame(list(rows))

"""A folder of features and the windows table over it, for the tests of packing."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline_lib.config import WindowConfig
from pipeline_lib.datasets.index_tables import event_table
from pipeline_lib.datasets.window_packing import pack_windows
from pipeline_lib.datasets.window_store import WindowStore, open_store
from pipeline_lib.storage.features import Manifest, VideoEntry, feature_path, write_manifest

EVENTS = event_table({"train/a/x": ((0.5, 1.5), (2.0, 3.0))})


def table(*rows: tuple[str, int, int, str]) -> pd.DataFrame:
    """Rows (video, start_row, n_rows, label); an empty label is a dropped window."""
    return pd.DataFrame(
        [
            {
                "video": video,
                "split": video.split("/")[0],
                "class_name": video.split("/")[1],
                "start_row": start,
                "n_rows": length,
                "start_s": float(start),
                "end_s": float(start + length),
                "overlaps_event": False,
                "label": label,
                "kept": bool(label),
                "reason": "" if label else "after_first_event",
            }
            for video, start, length, label in rows
        ]
    )


def save(
    directory: Path,
    videos: dict[str, np.ndarray],
    every_s: float | None = 1.0,
    offset_s: float = 0.0,
) -> None:
    """A feature directory; what a file holds need not be what the manifest says."""
    for video, rows in videos.items():
        path = feature_path(directory, video, ".npy")
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, rows)
    entries = {
        video: VideoEntry(
            sha256=f"hash of {video}", rows=len(rows), clips=0, duration_s=1.0, decode_errors=0
        )
        for video, rows in videos.items()
    }
    write_manifest(directory, Manifest("clip", "f", "w", "s", True, 2, every_s, entries, offset_s))


def pack(windows: pd.DataFrame, directory: Path, temporal_agg="mean", **config) -> WindowStore:
    """Pack and open."""
    out = directory.parent / "windows" / directory.name
    pack_windows(windows, EVENTS, directory, temporal_agg, WindowConfig(**config), out)
    return open_store(out)

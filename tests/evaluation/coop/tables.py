"""Small windows tables, and packed windows of them, for the tests of evaluation."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline_lib.config import WindowConfig
from pipeline_lib.datasets.window_packing import pack_windows
from pipeline_lib.datasets.window_store import WindowStore, open_store
from pipeline_lib.runtime.seeding import numpy_stream
from pipeline_lib.storage.features import Manifest, VideoEntry, feature_path, write_manifest

Events = Mapping[str, Sequence[tuple[float, float]]]


def window_row(
    video: str,
    start: int,
    *,
    label: str | None = None,
    overlaps: bool = False,
    kept: bool = True,
    n_rows: int = 1,
    every_s: float = 1.0,
    offset_s: float = 0.0,
) -> dict[str, object]:
    """One row of a windows table; the label is the directory's unless given."""
    split, class_name, _ = video.split("/")
    chosen = class_name if label is None else label
    return {
        "video": video,
        "split": split,
        "class_name": class_name,
        "start_row": start,
        "n_rows": n_rows,
        "start_s": offset_s + start * every_s,
        "end_s": offset_s + (start + n_rows) * every_s,
        "overlaps_event": overlaps,
        "label": chosen if kept else "",
        "kept": kept,
        "reason": "" if kept else "after_first_event",
    }


def windows_table(*rows: dict[str, object]) -> pd.DataFrame:
    """A windows table of ``rows``."""
    return pd.DataFrame(list(rows))


def events_table(events: Events) -> pd.DataFrame:
    """An events table."""
    rows = [(video, float(a), float(b)) for video, found in events.items() for a, b in found]
    kinds = {"video": "str", "start_s": "float64", "end_s": "float64"}
    return pd.DataFrame(rows, columns=list(kinds)).astype(kinds)


def save_features(
    directory: Path,
    videos: Mapping[str, np.ndarray],
    *,
    weights_sha256: str = "a" * 64,
    trained: bool = True,
    every_s: float = 1.0,
    offset_s: float = 0.0,
) -> None:
    """The rows of each video, and their manifest."""
    entries = {}
    for video, rows in videos.items():
        path = feature_path(directory, video, ".npy")
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, rows.astype(np.float32))
        entries[video] = VideoEntry(
            sha256=video, rows=len(rows), clips=0, duration_s=len(rows) * every_s, decode_errors=0
        )
    dim = next(iter(videos.values())).shape[1]
    manifest = Manifest(
        directory.name, "f" * 16, "words", weights_sha256, trained, dim, every_s, entries, offset_s
    )
    write_manifest(directory, manifest)


def store_of(
    folder: Path,
    table: pd.DataFrame,
    events: Events,
    rows: Mapping[str, int],
    *,
    every_s: float = 1.0,
    offset_s: float = 0.0,
    unit_duration: int = 1,
) -> WindowStore:
    """Packed windows over random features, with a training video of each class in ``rows``."""
    classes = sorted({video.split("/")[1] for video in rows})
    extra = [f"train/{name}/extra" for name in classes]
    rows = {**rows, **dict.fromkeys(extra, unit_duration)}
    features = {
        video: numpy_stream("features", video).normal(size=(count, 4))
        for video, count in rows.items()
    }
    times = {"every_s": every_s, "offset_s": offset_s}
    save_features(folder / "features" / "clip", features, **times)
    training = [window_row(video, 0, n_rows=unit_duration, **times) for video in extra]
    table = pd.concat([table, windows_table(*training)], ignore_index=True)
    config = WindowConfig(unit_duration=unit_duration)
    out = folder / "windows" / "clip"
    pack_windows(table, events_table(events), folder / "features" / "clip", "mean", config, out)
    return open_store(out)

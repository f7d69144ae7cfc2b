"""Windows of per-second features as one matrix in memory, ready for training or evaluation."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline_lib.errors import DataError, did_you_mean
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.features import feature_path, load_rows
from pipeline_lib.storage.tables import read_parquet

WINDOW_COLUMNS = (
    "video", "split", "class_name", "start_row", "n_rows", "start_s", "end_s",
    "overlaps_event", "label", "kept", "reason",
)  # fmt: skip

TemporalAggregation = Literal["mean", "max"]


@dataclass(frozen=True)
class WindowFeatures:
    """The kept windows of one split.

    Attributes:
        features: One row a window, pooled over time, then normalised: float32 [N, D].
        labels: Index into the class list, int64 [N].
        videos: Video id of each window, [N].
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    videos: tuple[str, ...]

    def sha256(self) -> str:
        """Hex digest of features, labels and ids."""
        digest = hashlib.sha256(repr((self.features.shape, self.videos)).encode())
        digest.update(np.ascontiguousarray(self.features).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()


def read_windows(path: Path) -> pd.DataFrame:
    """Read ``windows.parquet``.

    Raises:
        DataError: The file is missing, unreadable or lacks a column.
    """
    return read_parquet(path, WINDOW_COLUMNS)


def class_list(windows: pd.DataFrame) -> tuple[str, ...]:
    """The classes of a model: the sorted class directories of the training split.

    A directory of which no window was kept counts too, so that filtering never shifts an index.

    Raises:
        DataError: The table has no training window.
    """
    names = tuple(sorted(set(windows.loc[windows["split"] == "train", "class_name"])))
    if not names:
        raise DataError(
            "The windows table has no window of the train split.",
            hint="Put videos under <data.root>/videos/train/<class>/ and run `dvc repro`.",
        )
    return names


def load_split(
    windows: pd.DataFrame,
    split: str,
    class_names: Sequence[str],
    directory: Path,
    temporal_agg: TemporalAggregation,
    progress: Progress = SILENT,
) -> WindowFeatures:
    """Pool and normalise the kept windows of ``split``, in the order of the table.

    Args:
        windows: The windows table.
        split: ``train``, ``val`` or ``test``.
        class_names: The model's class list; labels are looked up in it by name.
        directory: Features of one backbone.
        temporal_agg: How the rows of a window become one.
        progress: Told of each video.

    Raises:
        DataError: The split has no kept window, a label is no class of the model, or the features
            cannot be used.
    """
    rows = windows[(windows["split"] == split) & windows["kept"]]
    if rows.empty:
        raise DataError(
            f"No window of the {split} split was kept.",
            hint=f"Put videos under <data.root>/videos/{split}/<class>/; the reasons of dropped "
            "windows stand in data/index/windows.parquet.",
        )
    index = {name: i for i, name in enumerate(class_names)}
    unknown = sorted(set(rows["label"]) - set(index))
    if unknown:
        raise DataError(
            f"Class {unknown[0]!r} of the {split} split is no class of the model.",
            hint=f"{did_you_mean(unknown[0], class_names)} A class needs a directory under train/.",
        )
    return WindowFeatures(
        features=pooled_windows(rows, directory, temporal_agg, progress),
        labels=np.array([index[name] for name in rows["label"]], dtype=np.int64),
        videos=tuple(rows["video"]),
    )


def pooled_windows(
    windows: pd.DataFrame,
    directory: Path,
    temporal_agg: TemporalAggregation,
    progress: Progress = SILENT,
) -> NDArray[np.float32]:
    """One normalised feature a row of ``windows``, in its order: float32 [N, D].

    The rows of a window are aggregated first and normalised after. Every video is opened once.

    Args:
        windows: Rows of the windows table.
        directory: Features of one backbone.
        temporal_agg: How the rows of a window become one.
        progress: Told of each video.

    Raises:
        DataError: A video has no usable features, features differ in D, a window reaches beyond
            them, or its rows cancel out.
    """
    groups = windows.groupby("video", sort=False).indices
    starts = windows["start_row"].to_numpy(dtype=np.int64)
    lengths = windows["n_rows"].to_numpy(dtype=np.int64)
    if not len(windows) or starts.min() < 0 or lengths.min() < 1:
        raise DataError(
            "The windows table has no window, or one that starts before row 0 or has no row.",
            hint="Make it again: `dvc repro annotate-filter`.",
        )
    pooled = np.empty((0, 0), dtype=np.float32)
    with progress.task(f"read features {directory.name}", len(groups)) as advance:
        for video, at in groups.items():
            path = feature_path(directory, str(video), ".npy")
            rows = load_rows(directory, str(video))
            if not pooled.size:
                pooled = np.empty((len(windows), rows.shape[1]), dtype=np.float32)
            _require_fit(path, rows, pooled.shape[1], int((starts[at] + lengths[at]).max()))
            pooled[at] = _pool(rows, starts[at], lengths[at], temporal_agg)
            advance()
    return _normalised(pooled, windows, directory)


def _require_fit(path: Path, rows: NDArray[np.float32], dim: int, end: int) -> None:
    if rows.shape[1] != dim:
        raise DataError(
            f"{path}: features of size {rows.shape[1]}, those of other videos have {dim}.",
            hint="Extract all videos with one backbone: `dvc repro extract`.",
        )
    if end > len(rows):
        raise DataError(
            f"{path}: has {len(rows)} rows, but a window ends at row {end}.",
            hint="The windows were made from other features; `dvc repro annotate-filter`.",
        )


def _pool(
    rows: NDArray[np.float32],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    temporal_agg: TemporalAggregation,
) -> NDArray[np.float32]:
    """Aggregate the windows of one video: [windows, D]."""
    pooled = np.empty((len(starts), rows.shape[1]), dtype=np.float32)
    # All windows but a short last one are of one length, so this runs once or twice.
    for length in np.unique(lengths):
        of_length = lengths == length
        stacked = rows[starts[of_length, None] + np.arange(length)]
        pooled[of_length] = stacked.mean(axis=1) if temporal_agg == "mean" else stacked.max(axis=1)
    return pooled


def _normalised(
    pooled: NDArray[np.float32], windows: pd.DataFrame, directory: Path
) -> NDArray[np.float32]:
    norms = np.linalg.norm(pooled, axis=1, keepdims=True)
    zero = np.flatnonzero(norms == 0)
    if zero.size:
        window = windows.iloc[zero[0]]
        raise DataError(
            f"{feature_path(directory, window['video'], '.npy')}: the rows of the window at row "
            f"{window['start_row']} cancel out, so it has no direction.",
            hint="Use train.temporal_agg: max, or shorter windows.",
        )
    pooled /= norms
    return pooled

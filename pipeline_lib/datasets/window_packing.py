"""The stage pack-windows: pool labelled windows into one matrix a backbone.

Videos are read one after the other and their windows written at once, so that memory holds one
video, whatever the data set.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline_lib.config import Params, WindowConfig, as_dict
from pipeline_lib.datasets.index_tables import categorical, read_event_table, read_windows
from pipeline_lib.datasets.layout import SPLITS
from pipeline_lib.datasets.window_pooling import TemporalAggregation, pool_windows
from pipeline_lib.datasets.window_store import (
    EVENTS,
    FEATURES,
    INDEX,
    STORE,
    VIDEO_COLUMNS,
    VIDEOS,
    StoreInfo,
)
from pipeline_lib.datasets.window_table import SplitVideos, split_videos
from pipeline_lib.errors import DataError
from pipeline_lib.fingerprint import sha256_file
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.atomic import write_json
from pipeline_lib.storage.directories import replacing_directory
from pipeline_lib.storage.features import (
    Manifest,
    feature_path,
    load_rows,
    read_manifest,
    row_spacing,
)
from pipeline_lib.storage.tables import write_parquet

_SAME_TIME_S = 1e-6
# Video id to the rows of the matrix its windows are.
Spans = Mapping[str, slice]


def write_stores(
    params: Params,
    index: Path = Path("data/index"),
    features: Path = Path("data/features"),
    out: Path = Path("data/windows"),
    progress: Progress = SILENT,
) -> str:
    """Pack the windows of ``train.backbone`` and, where set, of ``train.control_backbone``.

    Args:
        params: Says which backbones, and how the rows of a window become one.
        index: Holds the windows table and the events table.
        features: Holds one directory a backbone.
        out: Gets one store a backbone; replaced as a whole.
        progress: Told of each video.

    Returns:
        What was written, for people.

    Raises:
        DataError: Tables or features are missing or bad, or do not fit each other.
    """
    config = params.train
    windows = read_windows(index / "windows.parquet")
    events = read_event_table(index / "events.parquet")
    backbones = dict.fromkeys(filter(None, (config.backbone, config.control_backbone)))
    said = []
    with replacing_directory(out) as made:
        for backbone in backbones:
            info = pack_windows(
                windows, events, features / backbone, config.temporal_agg, config,
                made / backbone, progress,
            )  # fmt: skip
            counts = ", ".join(f"{split} {count}" for split, count in info.windows.items())
            said.append(f"wrote {out / backbone}: windows of {info.dim} values: {counts}")
    return "\n".join(said)


def pack_windows(
    windows: pd.DataFrame,
    events: pd.DataFrame,
    directory: Path,
    temporal_agg: TemporalAggregation,
    config: WindowConfig,
    out: Path,
    progress: Progress = SILENT,
) -> StoreInfo:
    """Pool, normalise and write the kept windows of one backbone's features.

    The same inputs give the same bytes.

    Args:
        windows: The windows table.
        events: The events table, copied into the store.
        directory: The features.
        temporal_agg: How the rows of a window become one.
        config: The settings the windows were cut with.
        out: The folder to write, replaced as a whole; see
            :mod:`pipeline_lib.datasets.window_store`.
        progress: Told of each video.

    Raises:
        DataError: No window is kept, or the features cannot be used or do not fit the windows.
    """
    manifest = read_manifest(directory)
    every_s = row_spacing(manifest)
    dataset = split_videos(manifest, config)
    index = _in_matrix_order(categorical(windows[windows["kept"]]))
    spans = _spans(index)
    _require_features(spans, dataset, directory)
    _require_times(index, every_s, manifest.offset_s, directory)
    with replacing_directory(out) as made:
        digest = _write_matrix(made / FEATURES, index, spans, manifest, directory, temporal_agg,
                               progress)  # fmt: skip
        videos = _video_table(dataset, manifest, spans)
        info = StoreInfo(
            backbone=directory.name,
            fingerprint=manifest.fingerprint,
            weights_id=manifest.weights_id,
            weights_sha256=manifest.weights_sha256,
            trained=manifest.trained,
            dim=manifest.dim,
            every_s=every_s,
            offset_s=manifest.offset_s,
            temporal_agg=temporal_agg,
            unit_duration=config.unit_duration,
            normal_class=dataset.normal,
            class_names=dataset.classes,
            features_sha256=digest,
            tables_sha256=_write_tables(made, {INDEX: index, VIDEOS: videos, EVENTS: events}),
            windows={split: int((index["split"] == split).sum()) for split in SPLITS},
        )
        # An offset of 0 goes without saying, as in the manifest of the features.
        facts = as_dict(info).items()
        write_json(made / STORE, {key: value for key, value in facts if value or key != "offset_s"})
    return info


def _write_tables(folder: Path, tables: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """Write the tables by file name; returns the hash of each file."""
    for name, table in tables.items():
        write_parquet(folder / name, table)
    return {name: sha256_file(folder / name) for name in tables}


def _require_features(videos: Iterable[str], dataset: SplitVideos, directory: Path) -> None:
    for video in videos:
        if video not in dataset.videos:
            raise DataError(
                f"{video} has windows but no features in {directory}.",
                hint=f"Extract it, then cut the windows again: `dvc repro extract@{directory.name} "
                "annotate-filter`.",
            )


def _require_times(index: pd.DataFrame, every_s: float, offset_s: float, directory: Path) -> None:
    """Windows count rows: in features of other times they would be other moments."""
    start, n_rows = (index[name].to_numpy(float) for name in ("start_row", "n_rows"))
    times = index[["start_s", "end_s"]].to_numpy(float)
    expected = offset_s + every_s * np.stack([start, start + n_rows], axis=1)
    if not np.allclose(times, expected, rtol=0, atol=_SAME_TIME_S):
        raise DataError(
            f"{directory}: one row every {every_s:g} s, the first from {offset_s:g} s; the windows "
            "were cut over rows of other times.",
            hint="Cut the windows again: `dvc repro annotate-filter`. Features of "
            "train.control_backbone need the every_s and offset_s of those of train.backbone.",
        )


def _in_matrix_order(kept: pd.DataFrame) -> pd.DataFrame:
    """Windows by split, those of a video side by side, else in the order they came."""
    splits = kept["split"].cat
    of_category = [SPLITS.index(name) if name in SPLITS else -1 for name in splits.categories]
    rank = np.array(of_category, dtype=np.int64)[splits.codes]
    if not len(kept) or rank.min() < 0 or kept["start_row"].min() < 0 or kept["n_rows"].min() < 1:
        raise DataError(
            "The windows table has no kept window, or one of no split, one that starts before row "
            "0 or one that has no row.",
            hint="Make it again: `dvc repro annotate-filter`.",
        )
    appearance, _ = pd.factorize(kept["video"].cat.codes.to_numpy())
    return kept.iloc[np.lexsort((appearance, rank))].reset_index(drop=True)


def _spans(index: pd.DataFrame) -> dict[str, slice]:
    codes = index["video"].cat.codes.to_numpy()
    bounds = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    names = index["video"].cat.categories[codes[bounds[:-1]]]
    return {name: slice(*bounds[i : i + 2]) for i, name in enumerate(names)}


def _video_table(dataset: SplitVideos, manifest: Manifest, spans: Spans) -> pd.DataFrame:
    none = slice(-1, -1)
    rows = [
        (
            video_id,
            video.split,
            video.class_name,
            manifest.videos[video_id].rows,
            spans.get(video_id, none).start,
            spans.get(video_id, none).stop - spans.get(video_id, none).start,
            manifest.videos[video_id].sha256,
        )
        for split in SPLITS
        for video_id, video in dataset.videos.items()
        if video.split == split
    ]
    return pd.DataFrame(rows, columns=list(VIDEO_COLUMNS))


def _write_matrix(
    path: Path,
    index: pd.DataFrame,
    spans: Spans,
    manifest: Manifest,
    directory: Path,
    temporal_agg: TemporalAggregation,
    progress: Progress,
) -> str:
    """Write the matrix video by video; returns the hash of its values.

    Written as a stream, not through a map: where the disk fills up, a write is refused with an
    error, but a page of a map that has no room kills the process.
    """
    starts, lengths = (index[name].to_numpy(np.int64) for name in ("start_row", "n_rows"))
    digest = hashlib.sha256()
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)),
        "fortran_order": False,
        "shape": (len(index), manifest.dim),
    }
    with (
        path.open("wb") as file,
        progress.task(f"pack windows of {directory.name}", len(spans)) as advance,
    ):
        np.lib.format.write_array_header_1_0(file, header)
        for video, span in spans.items():
            rows = load_rows(directory, video)
            source = feature_path(directory, video, ".npy")
            _require_size(source, rows, manifest.dim)
            pooled = pool_windows(rows, starts[span], lengths[span], temporal_agg, source)
            file.write(pooled.data)
            digest.update(pooled.data)
            advance()
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _require_size(path: Path, rows: NDArray[np.float32], dim: int) -> None:
    if rows.shape[1] != dim:
        raise DataError(
            f"{path}: features of size {rows.shape[1]}, those of other videos have {dim}.",
            hint="Extract all videos with one backbone: `dvc repro extract`.",
        )

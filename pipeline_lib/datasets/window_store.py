"""Packed windows of one backbone: a matrix on disk, and the tables that say what its rows are.

A folder ``data/windows/<backbone>/``, made by :mod:`pipeline_lib.datasets.window_packing`:

* ``features.npy``: float32 [N, D], the kept windows of all splits, pooled over time and then
  normalised; train, val, test, and within a split the windows of a video side by side.
* ``index.parquet``: one row a row of the matrix, with the columns of the windows table.
* ``videos.parquet``: one row a video of a split, with or without windows.
* ``events.parquet``: the annotated events of the videos.
* ``store.json``: :class:`StoreInfo`.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from pipeline_lib.datasets.index_tables import EVENT_COLUMNS, WINDOW_COLUMNS, categorical
from pipeline_lib.datasets.layout import SPLITS
from pipeline_lib.datasets.window_pooling import TemporalAggregation
from pipeline_lib.errors import DataError, did_you_mean
from pipeline_lib.fingerprint import sha256_file
from pipeline_lib.storage.tables import read_parquet

FEATURES = "features.npy"
INDEX = "index.parquet"
VIDEOS = "videos.parquet"
EVENTS = "events.parquet"
STORE = "store.json"
TABLES = (INDEX, VIDEOS, EVENTS)
_HASHED_BYTES = 1 << 24
VIDEO_COLUMNS = ("video", "split", "class_name", "rows", "offset", "windows", "sha256")


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", strict=True))
class StoreInfo:
    """What a store was made of and how.

    Attributes:
        backbone: Directory of the features.
        fingerprint: Of the features.
        weights_id: Model and weights of the features, as the user named them.
        weights_sha256: Hash of the weights; ``untrained-…`` for random ones.
        trained: False for random weights.
        dim: D.
        every_s: Seconds from row to row of a video.
        offset_s: Start of row 0 in its video; 0 in a store that does not say.
        temporal_agg: How the rows of a window became one.
        unit_duration: Rows of a window; a shorter video of val or test has one of its own length.
        normal_class: Directory of the class without events, or ``None`` where there is none.
        class_names: Class directories of the training split, sorted: the class list of a model.
            One of which no window was kept counts too, so that filtering never shifts an index.
        features_sha256: Hash of the values of the matrix.
        tables_sha256: File to hash, of every table.
        windows: Split to the number of its windows, in the order of the matrix.
    """

    backbone: str
    fingerprint: str
    weights_id: str
    weights_sha256: str
    trained: bool
    dim: int
    every_s: float
    offset_s: float = 0.0
    temporal_agg: TemporalAggregation
    unit_duration: int
    normal_class: str | None
    class_names: tuple[str, ...]
    features_sha256: str
    tables_sha256: Mapping[str, str]
    windows: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class WindowFeatures:
    """The windows of one split.

    Attributes:
        features: float32 [n, D], a part of the memory map: reading it reads the disk.
        labels: Index into the class list, int64 [n].
        video_of_window: Index into ``video_ids``, int64 [n].
        video_ids: Videos that have a window, in the order of their first.
        table: The windows' rows of the index, [n].
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    video_of_window: NDArray[np.int64]
    video_ids: tuple[str, ...]
    table: pd.DataFrame


@dataclasses.dataclass(frozen=True)
class WindowStore:
    """An opened store; its tables are read when they are first asked for.

    Attributes:
        path: The folder.
        info: What stands in ``store.json``.
    """

    path: Path
    info: StoreInfo

    @cached_property
    def matrix(self) -> NDArray[np.float32]:
        """The features of all windows, float32 [N, D], memory-mapped, read-only."""
        return _map_matrix(self.path / FEATURES, self.info)

    @cached_property
    def index(self) -> pd.DataFrame:
        """The windows of all splits, in the order of the matrix; text columns are categories."""
        return categorical(read_parquet(self.path / INDEX, WINDOW_COLUMNS))

    @cached_property
    def videos(self) -> pd.DataFrame:
        """All videos of the splits.

        Columns ``video``, ``split``, ``class_name``, ``rows``, ``offset`` (first row of the matrix,
        -1 without windows), ``windows`` and ``sha256`` (of the video file).
        """
        return read_parquet(self.path / VIDEOS, VIDEO_COLUMNS)

    @cached_property
    def events(self) -> pd.DataFrame:
        """Annotated events, merged and sorted: ``video``, ``start_s``, ``end_s``."""
        return read_parquet(self.path / EVENTS, EVENT_COLUMNS)

    def features(self, split: str) -> NDArray[np.float32]:
        """The features of one split's windows, float32 [n, D]: a part of the memory map."""
        return self.matrix[self._span(split)]

    def _span(self, split: str) -> slice:
        """Where a split's windows stand in the matrix and in the index."""
        first = sum(self.info.windows[name] for name in SPLITS[: SPLITS.index(split)])
        return slice(first, first + self.info.windows[split])

    def split(self, name: str, class_names: Sequence[str]) -> WindowFeatures:
        """The windows of one split.

        Args:
            name: ``train``, ``val`` or ``test``.
            class_names: A model's class list; labels are looked up in it by name.

        Raises:
            DataError: The split has no window, or a label is no class of the model.
        """
        if not self.info.windows[name]:
            raise DataError(
                f"No window of the {name} split was kept.",
                hint=f"Put videos under <data.root>/videos/{name}/<class>/; the reasons of dropped "
                "windows stand in data/index/windows.parquet.",
            )
        table = self.index.iloc[self._span(name)].reset_index(drop=True)
        videos = table["video"].cat
        video_of_window, order = pd.factorize(videos.codes.to_numpy())
        return WindowFeatures(
            features=self.features(name),
            labels=_labels(table["label"], class_names, name),
            video_of_window=video_of_window.astype(np.int64, copy=False),
            video_ids=tuple(videos.categories[order]),
            table=table,
        )


def open_store(path: Path) -> WindowStore:
    """Open a store and check that it is whole.

    Args:
        path: ``data/windows/<backbone>``.

    Raises:
        DataError: It is missing or of another version, a table or the matrix is not the one it was
            made with.
    """
    info = _read_info(path)
    for name in TABLES:
        if _sha256(path / name) != info.tables_sha256.get(name):
            raise _damaged(path / name, "is not the table this store was made with")
    store = WindowStore(path, info)
    if _values_sha256(store.matrix) != info.features_sha256:
        raise _damaged(path / FEATURES, "holds other values than this store was made with")
    return store


def _read_info(path: Path) -> StoreInfo:
    try:
        content = (path / STORE).read_bytes()
    except FileNotFoundError:
        raise _damaged(path, f"no packed windows: {STORE} is missing") from None
    try:
        info = TypeAdapter(StoreInfo).validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "content"
        said = f"of another version or damaged ({field}: {first['msg']})"
        raise _damaged(path / STORE, said) from None
    if set(info.windows) != set(SPLITS):
        raise _damaged(path / STORE, "of another version or damaged (windows: not the splits)")
    return info


def _map_matrix(path: Path, info: StoreInfo) -> NDArray[np.float32]:
    try:
        matrix: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise _damaged(path, "is missing") from None
    except (ValueError, EOFError, OSError) as error:
        raise _damaged(path, f"not a whole .npy file ({error})") from None
    expected = (sum(info.windows.values()), info.dim)
    if matrix.shape != expected or matrix.dtype != np.float32:
        raise _damaged(
            path, f"holds {matrix.dtype} {matrix.shape}, the index has float32 {expected}"
        )
    return matrix


def _values_sha256(matrix: NDArray[np.float32]) -> str:
    """Hash of a matrix' values, read once through: gigabytes take seconds."""
    digest = hashlib.sha256()
    rows = max(1, _HASHED_BYTES // max(1, matrix[:1].nbytes))
    for start in range(0, len(matrix), rows):
        digest.update(np.ascontiguousarray(matrix[start : start + rows]).data)
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    try:
        return sha256_file(path)
    except FileNotFoundError:
        raise _damaged(path, "is missing") from None


def _damaged(path: Path, said: str) -> DataError:
    return DataError(f"{path}: {said}.", hint="Pack the windows again: `dvc repro pack-windows`.")


def _labels(names: "pd.Series[str]", class_names: Sequence[str], split: str) -> NDArray[np.int64]:
    """Index of each label in ``class_names``, int64 [n]."""
    codes = names.cat.codes.to_numpy()
    position = {name: index for index, name in enumerate(class_names)}
    categories = names.cat.categories
    unknown = sorted(name for name in categories[np.unique(codes)] if name not in position)
    if unknown:
        raise DataError(
            f"Class {unknown[0]!r} of the {split} split is no class of the model.",
            hint=f"{did_you_mean(unknown[0], class_names)} A class needs a directory under train/.",
        )
    return np.array([position.get(name, -1) for name in categories], dtype=np.int64)[codes]

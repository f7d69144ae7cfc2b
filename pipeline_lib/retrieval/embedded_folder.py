"""What ``embed`` wrote, opened once and asked many times."""

import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.backbones.retrieval_model import RetrievalModel
from pipeline_lib.errors import DataError, WeightsError
from pipeline_lib.retrieval.catalogue import (
    INDEX,
    Entry,
    read_manifest,
    read_table,
)
from pipeline_lib.retrieval.embedding import model_fingerprint
from pipeline_lib.retrieval.records import VideoRecord, read_record
from pipeline_lib.retrieval.vector_index import VectorIndex

# Of the records that were looked at last; the same videos are found again and again.
_REMEMBERED_BYTES = 2**26


class EmbeddedFolder:
    """The vectors, names and records of a folder; reading them from several threads is safe.

    Args:
        folder: What ``embed`` wrote.
        model: The one that queries will be embedded by.

    Attributes:
        folder: The same.
        manifest: What all its videos have in common.
        duration_s: How long all of them are together.

    Raises:
        DataError: It is damaged, or none of its videos is embedded.
        WeightsError: Another model embedded it.
    """

    def __init__(self, folder: Path, model: RetrievalModel) -> None:
        self.folder, self.manifest = folder, read_manifest(folder)
        if self.manifest.fingerprint != model_fingerprint(model):
            raise WeightsError(
                f"{folder} was embedded by another model: cosines between the two mean nothing.",
                hint="Name that model (--model or --config), or embed the videos again with this "
                "one.",
            )
        if not self.manifest.embedded:
            raise DataError(f"{folder}: none of its videos could be embedded.")
        self._index = VectorIndex(folder / INDEX)
        table = read_table(folder)
        table = table[table["row"] >= 0].sort_values("row")
        if not np.array_equal(table["row"], np.arange(len(self._index))):
            raise self._not_whole()
        # Columns: a million videos as objects would take a gigabyte.
        self._columns = {name: table[name].array for name in table.columns}
        self.duration_s = float(table["duration_s"].sum())
        self._records: OrderedDict[str, VideoRecord] = OrderedDict()
        self._bytes, self._lock = 0, threading.Lock()

    def __len__(self) -> int:
        return len(self._index)

    def entry(self, row: int) -> Entry | None:
        """The video whose vector stands in a row; ``None`` where there is no such row."""
        if not 0 <= row < len(self):
            return None
        of = {name: column[row] for name, column in self._columns.items()}
        return Entry(
            str(of["name"]),
            str(of["relative"]),
            str(of["sha256"]),
            int(of["bytes"]),
            float(of["duration_s"]),
            row,
        )

    def path(self, entry: Entry) -> Path:
        """Where a video was when it was embedded, as the user would name it."""
        return Path(self.manifest.source) / entry.relative

    def nearest(self, direction: NDArray[np.float32], k: int) -> list[tuple[Entry, VideoRecord]]:
        """The ``k`` videos most similar to a unit vector [D], best first.

        Raises:
            DataError: What was kept of one of them is missing or damaged.
        """
        found = []
        for row in self._index.search(direction, k).rows.tolist():
            entry = self.entry(row)
            if entry is None:
                raise self._not_whole()
            found.append((entry, self._record(entry)))
        return found

    def _record(self, entry: Entry) -> VideoRecord:
        with self._lock:
            if entry.name in self._records:
                self._records.move_to_end(entry.name)
                return self._records[entry.name]
        record = read_record(self.folder, entry.name)
        if record is None:
            raise self._not_whole()
        with self._lock:
            if entry.name not in self._records:
                self._records[entry.name] = record
                self._bytes += record.frames.nbytes
            while self._bytes > _REMEMBERED_BYTES and len(self._records) > 1:
                self._bytes -= self._records.popitem(last=False)[1].frames.nbytes
        return record

    def _not_whole(self) -> DataError:
        return DataError(
            f"{self.folder}: not whole, a run of embedding was interrupted.",
            hint="Run `clipline embed` again; finished videos are kept.",
        )

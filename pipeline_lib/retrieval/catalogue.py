"""What a folder of embeddings holds: ``index/``, replaced as a whole at the end of a run.

* ``videos.parquet``: a row for every video that was asked for, sorted by name; ``row`` is its place
  in the vectors, -1 where it has none.
* ``vectors.npy``: float32 [n, D], and for many videos ``vectors.faiss``.
* ``manifest.json``: model, source and counts.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline_lib.errors import DataError
from pipeline_lib.retrieval.records import read_record
from pipeline_lib.retrieval.vector_index import VECTORS, VectorIndex, write_quantised
from pipeline_lib.storage.atomic import replacing, write_json
from pipeline_lib.storage.directories import replacing_in_claimed
from pipeline_lib.storage.tables import read_parquet, write_parquet

INDEX, MANIFEST, VIDEOS = "index", "manifest.json", "videos.parquet"
_COLUMNS = ("name", "relative", "sha256", "bytes", "duration_s", "row")


@dataclass(frozen=True)
class Entry:
    """One video.

    Attributes:
        name: Of its embedding.
        relative: Its path below the source.
        sha256: Of its bytes when it was embedded; empty where it is not.
        bytes: Size of its record.
        duration_s: Its length.
        row: Of its vector; -1 where it has none.
    """

    name: str
    relative: str
    sha256: str = ""
    bytes: int = 0
    duration_s: float = 0.0
    row: int = -1


@dataclass(frozen=True)
class Manifest:
    """What all of them have in common.

    Attributes:
        source: The folder of videos, as the user named it.
        fingerprint: Changes with anything that changes a vector.
        model: JSON-able facts of the model.
        opened_from: The trained model's folder, and the configuration, as the user named them.
        dim: D.
        index: ``exact`` or ``quantised``.
        embedded: Videos with an embedding.
        failed: Videos without.
        content: Changes whenever anything of this does.
        processing_date: When the content last changed, UTC.
    """

    source: str
    fingerprint: str
    model: Mapping[str, Any]
    opened_from: Mapping[str, str | None]
    dim: int
    index: str
    embedded: int
    failed: int
    content: str
    processing_date: str


@dataclass(frozen=True)
class Catalogue:
    """The content of ``index/``.

    Attributes:
        manifest: What all videos have in common.
        entries: By name, sorted.
    """

    manifest: Manifest
    entries: Mapping[str, Entry]


def is_catalogue(out: Path) -> bool:
    """Whether a folder holds embeddings."""
    return (out / INDEX / MANIFEST).is_file()


def read_manifest(out: Path) -> Manifest:
    """Read what all videos of a folder have in common.

    Raises:
        DataError: It is missing or damaged.
    """
    path = out / INDEX / MANIFEST
    try:
        return Manifest(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise DataError(
            f"{out}: holds no embeddings ({INDEX}/{MANIFEST} is missing).",
            hint="`clipline embed VIDEOS --out FOLDER` makes them.",
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path}: not readable ({error}).", hint=_again(out)) from None


def read_catalogue(out: Path) -> Catalogue:
    """Read ``index/``.

    Raises:
        DataError: It is missing or damaged.
    """
    manifest = read_manifest(out)
    entries = _entries(read_table(out))
    return Catalogue(manifest, {entry.name: entry for entry in entries})


def read_table(out: Path) -> pd.DataFrame:
    """The columns of :class:`Entry` of all videos, sorted by name.

    Raises:
        DataError: It is missing or damaged.
    """
    try:
        return read_parquet(out / INDEX / VIDEOS, _COLUMNS)
    except DataError as error:
        raise DataError(error.message, hint=_again(out)) from None


def vectors_stand(out: Path, manifest: Manifest) -> bool:
    """Whether the vectors of a folder are there and can be searched."""
    if not manifest.embedded:
        return True
    try:
        return len(VectorIndex(out / INDEX)) == manifest.embedded
    except DataError:
        return False


def forget(out: Path, catalogue: Catalogue, names: Sequence[str]) -> None:
    """Mark videos as not embedded, before their records are written anew.

    Otherwise a run killed in between would leave a row that describes another record.
    """
    marked = [
        Entry(entry.name, entry.relative) if name in set(names) else entry
        for name, entry in catalogue.entries.items()
    ]
    _write_table(out / INDEX, marked)


def write_catalogue(
    out: Path, manifest: Manifest, entries: Sequence[Entry], old: Catalogue | None
) -> None:
    """Replace ``index/``.

    Args:
        out: The folder of embeddings; claimed by this run.
        manifest: Its ``index`` is filled in here.
        entries: Sorted by name; their ``row`` is filled in here.
        old: What stands there; vectors of videos that did not change are taken from it.
    """
    done = [entry for entry in entries if entry.sha256]
    place = {entry.name: row for row, entry in enumerate(done)}
    with replacing_in_claimed(out / INDEX) as made:
        if done:
            _write_vectors(made, out, done, manifest, old)
        kind = write_quantised(made) if done else "exact"
        _write_table(
            made, [Entry(**{**asdict(one), "row": place.get(one.name, -1)}) for one in entries]
        )
        write_json(made / MANIFEST, {**asdict(manifest), "index": kind})


def _write_vectors(
    made: Path, out: Path, done: Sequence[Entry], manifest: Manifest, old: Catalogue | None
) -> None:
    known: Mapping[str, Entry] = {}
    before: NDArray[np.float32] | None = None
    if old is not None and old.manifest.fingerprint == manifest.fingerprint:
        path = out / INDEX / VECTORS
        before = np.load(path, mmap_mode="r", allow_pickle=False) if path.exists() else None
        known = old.entries
    with replacing(made / VECTORS) as temporary:
        shape = (len(done), manifest.dim)
        vectors = np.lib.format.open_memmap(temporary, "w+", dtype=np.float32, shape=shape)
        for row, entry in enumerate(done):
            was = known.get(entry.name)
            if before is not None and was and was.sha256 == entry.sha256 and was.row >= 0:
                vectors[row] = before[was.row]
                continue
            record = read_record(out, entry.name)
            if record is None:
                raise DataError(f"{out}: the record of {entry.name!r} is gone.", hint=_again(out))
            vectors[row] = record.video
        vectors.flush()
        del vectors


def _entries(table: pd.DataFrame) -> list[Entry]:
    columns = (table[column].tolist() for column in _COLUMNS)
    return [Entry(*row) for row in zip(*columns, strict=True)]


def _write_table(folder: Path, entries: Sequence[Entry]) -> None:
    columns = {name: [getattr(entry, name) for entry in entries] for name in _COLUMNS}
    write_parquet(folder / VIDEOS, pd.DataFrame(columns))


def _again(out: Path) -> str:
    return f"Remove {out / INDEX} and run `clipline embed` again; finished videos are kept."

"""The files of a folder of embeddings that other programs read."""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline_lib.errors import ConfigError, did_you_mean
from pipeline_lib.storage.atomic import replacing, write_bytes, write_text

FORMATS = ("npy", "json", "parquet")
CONSOLIDATED, SUMMARY = "consolidated_embeddings.json", "processing_summary.json"
PARQUET = "embeddings.parquet"
_SUFFIXES = {"npy": "_embedding.npy", "json": "_embedding.json"}
# Names that the formats had before.
_ALIASES = {"both": ("npy", "json"), "numpy": ("npy",), "all": FORMATS}
_ROWS_AT_ONCE = 4096
LONGEST_SUFFIX = max(_SUFFIXES.values(), key=len)


def parse_formats(text: str) -> tuple[str, ...]:
    """The formats that ``npy,json``, ``both`` or the like name, each once.

    Raises:
        ConfigError: There is no such format, or none is named.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    wanted: dict[str, None] = {}
    for name in names:
        if name not in FORMATS and name not in _ALIASES:
            hint = did_you_mean(name, (*FORMATS, *_ALIASES))
            raise ConfigError(f"There is no format {name!r}.", hint=hint)
        wanted.update(dict.fromkeys(_ALIASES.get(name, (name,))))
    if not wanted:
        raise ConfigError("No format is named.", hint=f"Known: {', '.join(FORMATS)}.")
    return tuple(name for name in FORMATS if name in wanted)


def embedding_path(out: Path, name: str, kind: str) -> Path:
    """``<name>_embedding.npy`` or ``.json``."""
    return out / f"{name}{_SUFFIXES[kind]}"


def write_embedding(
    out: Path,
    name: str,
    vector: NDArray[np.float32],
    facts: Mapping[str, Any],
    formats: Sequence[str],
) -> None:
    """Write the files of one video in the formats that are asked for, and remove the others.

    Args:
        out: The folder.
        name: Of the video.
        vector: float32 [D].
        facts: ``video_path`` and ``model``; and what else the JSON file says.
        formats: Of :data:`FORMATS`.
    """
    if "npy" in formats:
        buffer = io.BytesIO()
        np.save(buffer, vector, allow_pickle=False)
        write_bytes(embedding_path(out, name, "npy"), buffer.getvalue())
    if "json" in formats:
        content = {
            "video_path": facts["video_path"],
            "embedding": vector.tolist(),
            "shape": list(vector.shape),
            "dtype": str(vector.dtype),
            **{key: value for key, value in facts.items() if key != "video_path"},
        }
        write_text(embedding_path(out, name, "json"), _object(content) + "\n")
    keep_formats(out, name, formats)


def keep_formats(out: Path, name: str, formats: Sequence[str]) -> None:
    """Remove the files of one video in other formats."""
    for kind in _SUFFIXES.keys() - set(formats):
        embedding_path(out, name, kind).unlink(missing_ok=True)


def remove_embedding(out: Path, name: str) -> None:
    """Remove the files of one video."""
    keep_formats(out, name, ())


def write_consolidated(
    out: Path,
    rows: Iterable[tuple[str, str, NDArray[np.float32]]],
    metadata: Mapping[str, Any],
) -> None:
    """Write all embeddings into one JSON file, one after the other.

    Args:
        out: The folder.
        rows: Name, video path and vector of each video.
        metadata: Counts, date and model.
    """
    with (
        replacing(out / CONSOLIDATED) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as file,
    ):
        file.write('{\n "embeddings": {')
        mark = "\n"
        for name, video_path, vector in rows:
            content = {
                "embedding": vector.tolist(),
                "shape": list(vector.shape),
                "video_path": video_path,
            }
            file.write(f"{mark}  {_json(name)}: {_json(content)}")
            mark = ",\n"
        file.write(f'\n }},\n "metadata": {_json(metadata)}\n}}\n')


def write_table(out: Path, rows: Iterable[tuple[str, str, NDArray[np.float32]]], dim: int) -> None:
    """Write all embeddings into one parquet file: name, video_path, embedding float32 [D]."""
    vector = pa.list_(pa.float32(), dim)
    schema = pa.schema({"name": pa.string(), "video_path": pa.string(), "embedding": vector})
    with replacing(out / PARQUET) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        batch: list[tuple[str, str, NDArray[np.float32]]] = []
        for row in rows:
            batch.append(row)
            if len(batch) == _ROWS_AT_ONCE:
                writer.write_table(_arrow(batch, schema, vector))
                batch = []
        if batch:
            writer.write_table(_arrow(batch, schema, vector))


def _arrow(
    batch: Sequence[tuple[str, str, NDArray[np.float32]]], schema: pa.Schema, vector: pa.DataType
) -> pa.Table:
    names, paths, vectors = zip(*batch, strict=True)
    flat = pa.array(np.concatenate(vectors))
    columns = [pa.array(names), pa.array(paths)]
    return pa.table([*columns, pa.FixedSizeListArray.from_arrays(flat, type=vector)], schema)


def _object(content: Mapping[str, Any]) -> str:
    """A JSON object with a line for each key: an embedding stays on one."""
    lines = ",\n".join(f" {_json(key)}: {_json(value)}" for key, value in content.items())
    return f"{{\n{lines}\n}}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)

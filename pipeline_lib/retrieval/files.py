"""What a run of embedding leaves for other programs: the formats that were asked for, no others."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.retrieval.catalogue import INDEX, Catalogue, Manifest
from pipeline_lib.retrieval.report import EmbedReport
from pipeline_lib.retrieval.vector_index import VECTORS
from pipeline_lib.retrieval.written import (
    CONSOLIDATED,
    PARQUET,
    SUMMARY,
    embedding_path,
    keep_formats,
    write_consolidated,
    write_embedding,
    write_table,
)


@dataclass(frozen=True)
class EmbedOptions:
    """What is written, and with how much of this machine.

    Attributes:
        formats: Of ``written.FORMATS``.
        consolidated: Also one JSON file with all embeddings.
        summary: Also ``processing_summary.json``.
        threads: CPU threads of forward passes; 0 takes all cores.
        decoders: Videos that are decoded at a time; 0 takes one a core.
    """

    formats: tuple[str, ...] = ("npy", "json")
    consolidated: bool = False
    summary: bool = False
    threads: int = 0
    decoders: int = 0


def publish(
    report: EmbedReport, options: EmbedOptions, catalogue: Catalogue, old: Manifest | None
) -> None:
    """Write them from the catalogue; nothing goes through the network again.

    Args:
        report: Of the run; its folder gets the files.
        options: What was asked for.
        catalogue: What the folder holds now.
        old: What it held before this run.
    """
    out, manifest = report.out, catalogue.manifest
    # The path is written as the user spells it, and the model stands in every file.
    same = old is not None and (old.source, old.fingerprint, old.opened_from) == (
        manifest.source,
        manifest.fingerprint,
        manifest.opened_from,
    )
    kinds = [kind for kind in options.formats if kind != "parquet"]
    for name, path, vector in _rows(out, catalogue):
        if same and all(embedding_path(out, name, kind).is_file() for kind in kinds):
            keep_formats(out, name, kinds)
            continue
        entry = catalogue.entries[name]
        facts = {
            "video_path": path,
            "video_sha256": entry.sha256,
            "duration_s": entry.duration_s,
            "model": manifest.model,
        }
        write_embedding(out, name, vector, facts, kinds)
    for file, wanted in (
        (CONSOLIDATED, options.consolidated),
        (PARQUET, "parquet" in options.formats),
        (SUMMARY, options.summary),
    ):
        if not wanted:
            (out / file).unlink(missing_ok=True)
    if options.consolidated:
        write_consolidated(out, _rows(out, catalogue), _metadata(manifest))
    if "parquet" in options.formats:
        write_table(out, _rows(out, catalogue), manifest.dim)
    if options.summary:
        report.write_summary()
    report.write_failures()


def _rows(out: Path, catalogue: Catalogue) -> Iterator[tuple[str, str, NDArray[np.float32]]]:
    """Name, path and vector of every embedded video, sorted by name."""
    if not catalogue.manifest.embedded:
        return
    vectors = np.load(out / INDEX / VECTORS, mmap_mode="r", allow_pickle=False)
    for name, entry in catalogue.entries.items():
        if entry.row >= 0:
            path = str(Path(catalogue.manifest.source) / entry.relative)
            yield name, path, np.array(vectors[entry.row])


def _metadata(manifest: Manifest) -> dict[str, Any]:
    return {
        "total_videos": manifest.embedded + manifest.failed,
        "successful": manifest.embedded,
        "failed": manifest.failed,
        "processing_date": manifest.processing_date,
        "model": manifest.model,
    }

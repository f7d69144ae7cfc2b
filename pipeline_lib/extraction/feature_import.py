"""Features that others made, taken over as if they had been extracted here."""

import json
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline_lib.backbones.base import WeightsSource
from pipeline_lib.backbones.loading import load_section
from pipeline_lib.config import ExtractConfig, Params
from pipeline_lib.datasets.layout import layout_warnings, parse_id
from pipeline_lib.errors import BatchError, ConfigError, DataError
from pipeline_lib.extraction.feature_files import (
    LAYOUT,
    SUFFIX,
    FeatureFileError,
    find_feature_files,
    read_rows,
)
from pipeline_lib.extraction.plan import (
    FAILURES,
    Sizes,
    make_plan,
    prune,
    remove_leftovers,
    scan,
)
from pipeline_lib.extraction.report import ExtractionReport
from pipeline_lib.fingerprint import fingerprint, sha256_file
from pipeline_lib.params_file import override
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.features import (
    MANIFEST,
    SUFFIXES,
    ClipRows,
    Manifest,
    VideoEntry,
    remove_features,
    write_features,
    write_manifest,
)
from pipeline_lib.storage.hash_cache import HashCache
from pipeline_lib.video.files import FoundVideos, VideoFile

log = logging.getLogger(__name__)

# Raised whenever this file changes the features it writes for the same source.
VERSION = 1


@dataclass(frozen=True)
class Claim:
    """What the user says the features are; no feature can prove it.

    Attributes:
        backbone: The section of ``extract`` whose model made them.
        weights: That model's weights.
        dim: That model's D.
        every_s: Seconds from row to row.
        offset_s: Start of row 0 in its video.
    """

    backbone: str
    weights: WeightsSource
    dim: int
    every_s: float
    offset_s: float

    @property
    def times(self) -> dict[str, float]:
        """``every_s`` and, where it is not 0, ``offset_s``; the reason is that of `Manifest`."""
        offset = {"offset_s": self.offset_s} if self.offset_s else {}
        return {"every_s": self.every_s, **offset}

    @property
    def fingerprint(self) -> str:
        """Changes with anything but the source files that changes what is written."""
        return fingerprint(
            {
                "imported": VERSION,
                "weights_sha256": self.weights.sha256,
                "dim": self.dim,
                **self.times,
            }
        )

    def __str__(self) -> str:
        first = f", the first from {self.offset_s:g} s" if self.offset_s else ""
        return (
            f"The features are taken to be of extract.{self.backbone} ({self.weights.id}, weights "
            f"{self.weights.sha256[:16]}), one row every {self.every_s:g} s{first}; if they "
            "are of another model of the same size, everything after is meaningless."
        )


@dataclass
class ImportReport(ExtractionReport):
    """What an import did; ``extracted`` are the ids imported now."""

    def raise_failures(self) -> None:
        """Turn failures into the error a batch ends with.

        Raises:
            BatchError: Some files failed; all others are imported.
        """
        if self.failures:
            total = len(self.extracted) + len(self.kept) + len(self.failures)
            raise BatchError(
                f"{len(self.failures)} of {total} feature files could not be imported, first: "
                f"{self.failures[0]['message']}",
                hint=f"All are listed in {self.directory / FAILURES}. Repair or remove them and "
                "import again; finished files are not redone.",
            )


def import_features(
    source: Path,
    backbone: str,
    params: Params,
    out: Path,
    every_s: float = 1.0,
    offset_s: float = 0.0,
    hash_cache: Path | None = None,
    progress: Progress = SILENT,
) -> tuple[ImportReport, Claim]:
    """Write the features below ``source`` to ``out / backbone``, which then holds nothing else.

    Files whose features already stand there are not written again.

    Args:
        source: Holds ``{train,val,test}/{class}/{stem}.npy``, float [T, D]; row k describes the
            video from ``offset_s + k * every_s`` to ``offset_s + (k + 1) * every_s``.
        backbone: The section of ``extract`` whose model made them.
        params: ``extract`` is used.
        out: Holds one directory a backbone.
        every_s: Seconds from row to row.
        offset_s: Start of row 0 in its video; below 0 where rows look back.
        hash_cache: Where hashes of unchanged files are remembered.
        progress: Told of every finished file.

    Returns:
        What was done, with the files that failed; and what the user claims by it.

    Raises:
        ConfigError: There is no such backbone, it sees clips, or ``every_s`` or ``offset_s`` is
            no time.
        DataError: ``source`` is laid out otherwise, or ``out / backbone`` holds features that
            were extracted or lies within ``source``.
        WeightsError: The model's weights are missing or do not fit.
    """
    found = _of_splits(source)
    claim = _claim(backbone, override(params.extract, {"every_s": every_s}), offset_s)
    report = ImportReport(backbone, out / backbone)
    sizes = scan(report.directory)
    _require_own(report.directory, sizes, source)
    _remove_stale(report, sizes, [video.id for video in (*found.videos, *found.ambiguous)])
    hashes = HashCache(hash_cache)
    fit = report.fit(found.videos, found.ambiguous)
    plan = make_plan(report.directory, sizes, fit, claim.fingerprint, hashes, progress)
    report.kept = sorted(plan.done)
    todo = [video for video in fit if video.id in plan.todo]
    entries = {**plan.done, **_import_all(todo, claim, report, hashes, progress)}
    _finish(report, claim, entries)
    hashes.save()
    return report, claim


def _of_splits(source: Path) -> FoundVideos:
    """The files of a split and a class; all else is only warned of."""
    found = find_feature_files(source)
    for warning in layout_warnings(source, found):
        log.warning(warning)
    of_splits = FoundVideos(
        tuple(video for video in found.videos if parse_id(video.id)),
        tuple(video for video in found.ambiguous if parse_id(video.id)),
    )
    if not of_splits.videos and not of_splits.ambiguous:
        raise DataError(f"No {SUFFIX} file of {source} is of a split and a class.", hint=LAYOUT)
    return of_splits


def _claim(backbone: str, config: ExtractConfig, offset_s: float) -> Claim:
    if not math.isfinite(offset_s):
        raise ConfigError(f"offset_s = {offset_s}: must be a finite number of seconds.")
    model = load_section(backbone, config, torch.device("cpu"), "fp32")
    if model.frames_per_sample != 1:
        raise ConfigError(
            f"Backbone {backbone!r} has features of clips, none per second.",
            hint="Name the model that made the rows, such as clip.",
        )
    weights = WeightsSource(model.weights_id, model.weights_sha256, model.trained)
    return Claim(backbone, weights, model.dim, config.every_s, offset_s)


def _require_own(directory: Path, sizes: Sizes, source: Path) -> None:
    """Whatever stands in ``directory`` will be replaced, so it must come from an import."""
    here, there = directory.resolve(), source.resolve()
    if here.is_relative_to(there) or there.is_relative_to(here):
        raise DataError(
            f"{source} lies where the features are to be written, {directory}.",
            hint="Move it elsewhere, or choose another --out.",
        )
    metas = sorted(name for name in sizes if name.endswith(".json") and parse_id(name))
    if metas:
        imported = _imported(directory / metas[0])
    else:
        imported = not any(name.endswith(SUFFIX) for name in sizes)
    if not imported:
        raise DataError(
            f"{directory} holds features that were not imported.",
            hint="Choose another --out, or delete that directory.",
        )


def _imported(meta: Path) -> bool:
    try:
        return json.loads(meta.read_text(encoding="utf-8")).get("imported") is True
    except (OSError, ValueError, AttributeError):
        return False


def _remove_stale(report: ImportReport, sizes: Sizes, ids: Sequence[str]) -> None:
    files = [f"{video_id}{suffix}" for video_id in ids for suffix in SUFFIXES]
    remove_leftovers(report.directory, sizes, [*files, MANIFEST, FAILURES])
    report.pruned = prune(report.directory, sizes, ids)


def _import_all(
    todo: Sequence[VideoFile],
    claim: Claim,
    report: ImportReport,
    hashes: HashCache,
    progress: Progress,
) -> dict[str, VideoEntry]:
    entries = {}
    with progress.task(f"importing {claim.backbone}", len(todo)) as advance:
        for video in todo:
            try:
                entries[video.id] = _import_one(video, claim, report.directory, hashes)
                report.extracted.append(video.id)
            except FeatureFileError as error:
                # Old features of a file that can no longer be used must not pass for its own.
                remove_features(report.directory, video.id)
                report.fail(video.id, video.path, error.reason, error.message)
            advance(note=video.id)
    return entries


def _import_one(video: VideoFile, claim: Claim, directory: Path, hashes: HashCache) -> VideoEntry:
    rows = read_rows(video.path, claim.dim)
    end_s = claim.offset_s + len(rows) * claim.every_s
    if end_s <= 0:
        raise FeatureFileError(
            f"{video.path}: its last row ends at {end_s:g} s, before the video starts.",
            reason="before_start",
        )
    try:
        info, digest = video.path.stat(), sha256_file(video.path)
    except OSError as error:
        raise FeatureFileError(f"{video.path}: {error}.", reason="unreadable") from None
    hashes.put(str(video.path), info, digest)
    meta: dict[str, Any] = {
        "backbone": claim.backbone,
        "fingerprint": claim.fingerprint,
        "weights_id": claim.weights.id,
        "weights_sha256": claim.weights.sha256,
        "trained": claim.weights.trained,
        "imported": True,
        **claim.times,
        "rows": len(rows),
        "clips": 0,
        "dim": claim.dim,
        "duration_s": end_s,
        "decode_errors": 0,
        "source_sha256": digest,
        "source_bytes": info.st_size,
    }
    return write_features(directory, video.id, rows, _no_clips(claim.dim), meta)


def _no_clips(dim: int) -> ClipRows:
    none = np.zeros(0)
    return ClipRows(
        features=np.zeros((0, dim), dtype=np.float32),
        start_s=none,
        end_s=none,
        n_frames=none.astype(np.int64),
        valid=none.astype(np.float32),
    )


def _finish(report: ImportReport, claim: Claim, entries: dict[str, VideoEntry]) -> None:
    manifest = Manifest(
        backbone=claim.backbone,
        fingerprint=claim.fingerprint,
        weights_id=claim.weights.id,
        weights_sha256=claim.weights.sha256,
        trained=claim.weights.trained,
        dim=claim.dim,
        every_s=claim.every_s,
        videos=entries,
        offset_s=claim.offset_s,
    )
    write_manifest(report.directory, manifest)
    report.write_failures()

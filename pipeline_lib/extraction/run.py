"""Extraction of many videos: decode, embed in batches across them, write each when it is whole."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline_lib.backbones.base import Backbone
from pipeline_lib.config import ExtractConfig
from pipeline_lib.errors import BatchError, VideoError
from pipeline_lib.extraction.plan import FAILURES, Task, entry_of, make_plan, others, prune
from pipeline_lib.extraction.sampling import Grid, VideoFeatures
from pipeline_lib.fingerprint import fingerprint
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.features import (
    Manifest,
    VideoEntry,
    remove_features,
    write_features,
    write_manifest,
)
from pipeline_lib.storage.tables import write_csv
from pipeline_lib.video.files import FoundVideos
from pipeline_lib.video.reader import VideoReader, open_video

# Raised whenever this package changes the features it writes for the same frames.
VERSION = 1
log = logging.getLogger(__name__)


@dataclass
class ExtractionReport:
    """What a run did.

    Attributes:
        directory: Where the features are.
        extracted: Ids extracted now.
        kept: Ids whose features were still right.
        pruned: Ids whose features were removed, because their video is gone.
        frames: Frames embedded now.
        failures: Rows ``video, file, reason, message`` of videos without features.
    """

    directory: Path
    extracted: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    pruned: list[str] = field(default_factory=list)
    frames: int = 0
    failures: list[dict[str, str]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-able facts."""
        return {
            "directory": str(self.directory),
            "extracted": len(self.extracted),
            "kept": len(self.kept),
            "pruned": len(self.pruned),
            "frames": self.frames,
            "failures": self.failures,
        }

    def raise_failures(self) -> None:
        """Turn failures into the error a batch ends with.

        Raises:
            BatchError: Some videos failed; all others are extracted.
        """
        if self.failures:
            first = self.failures[0]
            total = len(self.extracted) + len(self.kept) + len(self.failures)
            raise BatchError(
                f"{len(self.failures)} of {total} videos could not be extracted, first: "
                f"{first['message']}",
                hint=f"All are listed in {self.directory / FAILURES}. Repair or remove them, or "
                "list them under data.exclude in params.yaml; finished videos are not redone.",
            )


class _Batches:
    """Collects frames of any videos into full forward passes and hands the rows back."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self._frames: list[NDArray[np.uint8]] = []
        self._takers: list[Callable[[NDArray[np.float32]], None]] = []
        self.frames = 0

    def add(self, frame: NDArray[np.uint8], take: Callable[[NDArray[np.float32]], None]) -> None:
        self._frames.append(frame)
        self._takers.append(take)
        if len(self._frames) == self._backbone.batch_size:
            self.flush()

    def flush(self) -> None:
        if not self._frames:
            return
        for take, row in zip(self._takers, self._backbone.encode(self._frames), strict=True):
            take(row)
        self.frames += len(self._frames)
        self._frames, self._takers = [], []


class Extraction:
    """One backbone, one output directory, one set of settings.

    Args:
        name: The backbone's name, recorded in the manifest.
        backbone: The loaded network.
        config: Grid, decoder and batch settings.
        directory: Where the features go.
    """

    def __init__(
        self, name: str, backbone: Backbone, config: ExtractConfig, directory: Path
    ) -> None:
        self._name = name
        self._backbone = backbone
        self._config = config
        self._directory = directory
        self._grid = Grid(
            config.every_s, config.clip_len_s, config.fps, config.partial_clip == "keep"
        )
        self.fingerprint = fingerprint(
            {
                "version": VERSION,
                "backbone": backbone.identity,
                # Another batch shape may round differently in the last bit.
                "batch_size": backbone.batch_size,
                "decoder": config.decoder,
                "grid": vars(self._grid),
            }
        )

    def run(
        self, found: FoundVideos, *, own_directory: bool, progress: Progress = SILENT
    ) -> ExtractionReport:
        """Extract what is missing.

        Args:
            found: The wanted videos.
            own_directory: The directory belongs to these videos alone, so features of any other
                are removed; otherwise they stay and stay listed in the manifest.
            progress: Told of every finished video.

        Returns:
            What was done; videos that failed are in its ``failures`` and in ``failures.csv``.

        Raises:
            DataError: The directory holds other videos' features made with other settings.
        """
        report = ExtractionReport(self._directory)
        rest = {}
        if own_directory:
            report.pruned = prune(self._directory, (video.id for video in found.videos))
        else:
            rest = others(self._directory, found.videos, self.fingerprint)
        plan = make_plan(self._directory, found.videos, self.fingerprint, progress)
        report.kept = sorted(plan.done)
        entries = {**rest, **plan.done}
        self._list_unfit(found, plan.unreadable, report)
        self._extract(plan.todo, entries, report, progress)
        self._finish(entries, report)
        return report

    def _list_unfit(
        self, found: FoundVideos, unreadable: dict[str, str], report: ExtractionReport
    ) -> None:
        paths = {video.id: video.path for video in found.videos}
        for video_id, reason in unreadable.items():
            message = f"{paths[video_id]}: {reason}."
            self._fail(report, video_id, paths[video_id], "unreadable", message)
        for video in found.ambiguous:
            message = f"{video.path}: another file beside it has the same name but for its suffix."
            self._fail(report, video.id, video.path, "ambiguous_name", message)

    def _extract(
        self,
        todo: tuple[Task, ...],
        entries: dict[str, VideoEntry],
        report: ExtractionReport,
        progress: Progress,
    ) -> None:
        batches = _Batches(self._backbone)
        with progress.task(f"extracting {self._name}", len(todo)) as advance:

            def written(video_id: str, entry: VideoEntry) -> None:
                entries[video_id] = entry
                report.extracted.append(video_id)
                advance(note=video_id)

            for task in todo:
                try:
                    self._decode(task, batches, written)
                except VideoError as error:
                    self._fail(report, task.video.id, task.video.path, error.reason, error.message)
                    advance(note=task.video.id)
            batches.flush()
        report.frames = batches.frames

    def _decode(
        self, task: Task, batches: _Batches, written: Callable[[str, VideoEntry], None]
    ) -> None:
        """Decode one video into ``batches``; its files are written when its last row is back."""
        features = VideoFeatures(self._grid, self._backbone.dim)
        facts: dict[str, Any] = {}

        def write_if_complete() -> None:
            if facts and features.complete:
                written(task.video.id, self._write(task, features, facts))

        def take(row: NDArray[np.float32]) -> None:
            features.add(row)
            write_if_complete()

        with open_video(task.video.path, decoder=self._config.decoder) as video:
            for sample in video.until_end(features.times()):
                features.expect()
                batches.add(sample.rgb(self._backbone.resize), take)
            facts.update(self._facts(video))
        if video.errors:
            log.warning("%s: skipped %d corrupt packets", task.video.path, video.errors)
        write_if_complete()

    def _facts(self, video: VideoReader) -> dict[str, Any]:
        return {
            "duration_s": video.duration_s,
            "average_fps": video.average_fps,
            "start_s": video.start_s,
            "source_frames": video.frames,
            "decode_errors": video.errors,
        }

    def _write(self, task: Task, features: VideoFeatures, facts: dict[str, Any]) -> VideoEntry:
        rows, clips = features.rows(), features.clips(facts["duration_s"])
        backbone, config = self._backbone, self._config
        meta = {
            "backbone": self._name,
            "fingerprint": self.fingerprint,
            "weights_id": backbone.weights_id,
            "weights_sha256": backbone.weights_sha256,
            "trained": backbone.trained,
            "preprocess": backbone.identity["preprocess"],
            "precision": backbone.precision,
            "pooling": "mean of un-normalised frame embeddings",
            "decoder": config.decoder,
            "decoder_version": f"PyAV {av.__version__}",
            "every_s": config.every_s,
            "clip_len_s": config.clip_len_s,
            "fps": config.fps,
            "partial_clip": config.partial_clip,
            "rows": len(rows),
            "clips": len(clips.features),
            "dim": backbone.dim,
            "source_sha256": task.sha256,
            "source_bytes": task.video.path.stat().st_size,
            **facts,
        }
        write_features(self._directory, task.video.id, rows, clips, meta)
        return entry_of(meta)

    def _fail(
        self, report: ExtractionReport, video_id: str, path: Path, reason: str, message: str
    ) -> None:
        # Old features of a video that can no longer be read must not pass for its own.
        remove_features(self._directory, video_id)
        row = {"video": video_id, "file": path.name, "reason": reason, "message": message}
        report.failures.append(row)

    def _finish(self, entries: dict[str, VideoEntry], report: ExtractionReport) -> None:
        backbone = self._backbone
        write_manifest(
            self._directory,
            Manifest(
                backbone=self._name,
                fingerprint=self.fingerprint,
                weights_id=backbone.weights_id,
                weights_sha256=backbone.weights_sha256,
                trained=backbone.trained,
                dim=backbone.dim,
                every_s=self._config.every_s,
                videos=entries,
            ),
        )
        table = self._directory / FAILURES
        report.failures.sort(key=lambda row: (row["video"], row["file"]))
        if report.failures:
            write_csv(table, pd.DataFrame(report.failures))
        else:
            table.unlink(missing_ok=True)

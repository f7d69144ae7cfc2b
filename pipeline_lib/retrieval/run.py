"""A run of embedding: plan what is missing, embed it, write down what stands."""

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline_lib.backbones.retrieval_model import RetrievalModel
from pipeline_lib.datasets.question_fields import encodable
from pipeline_lib.errors import DataError
from pipeline_lib.fingerprint import fingerprint
from pipeline_lib.retrieval.catalogue import (
    Catalogue,
    Entry,
    Manifest,
    forget,
    is_catalogue,
    read_catalogue,
    vectors_stand,
    write_catalogue,
)
from pipeline_lib.retrieval.embedding import Failed, embed_files, model_fingerprint
from pipeline_lib.retrieval.files import EmbedOptions, publish
from pipeline_lib.retrieval.names import NamedVideo, find_named
from pipeline_lib.retrieval.records import (
    read_record,
    record_names,
    record_path,
    write_record,
)
from pipeline_lib.retrieval.report import EmbedReport, Failure
from pipeline_lib.retrieval.written import LONGEST_SUFFIX, remove_embedding
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.atomic import TEMPORARY_SUFFIX
from pipeline_lib.storage.directories import claimed
from pipeline_lib.storage.hash_cache import HashCache

# What file systems allow a name.
_NAME_BYTES = 255


class EmbeddingRun:
    """Embeds a folder of videos into a folder that belongs to them.

    What is there already and still right (the video's bytes, the model) is kept, what belongs to
    videos that are gone is removed, and a run that was killed goes on where it was.

    Args:
        source: The folder of videos.
        out: The folder of embeddings.
        options: What is written.
        hashes: Remembers hashes of videos between runs.
    """

    def __init__(self, source: Path, out: Path, options: EmbedOptions, hashes: HashCache) -> None:
        self._source = source
        self._out = out
        self._options = options
        self._hashes = hashes

    def embed(
        self,
        open_model: Callable[[], RetrievalModel],
        opened_from: dict[str, str | None],
        progress: Progress = SILENT,
    ) -> EmbedReport:
        """Embed what is missing; a video that fails is listed and does not stop the others.

        Args:
            open_model: Called once it is known that there are videos.
            opened_from: What the manifest says about where the model came from.
            progress: Told of every finished video.

        Raises:
            DataError: There are no videos, the folder holds embeddings of others, or another run
                is at work on it.
            WeightsError: Weights are missing, do not fit, or are untrained.
        """
        find_named(self._source, {})
        model = open_model()
        with claimed(self._out, self._out):
            old = read_catalogue(self._out) if is_catalogue(self._out) else None
            known = {entry.relative: entry.name for entry in old.entries.values()} if old else {}
            videos = find_named(self._source, known)
            if old and not known.keys() & {video.relative for video in videos}:
                raise DataError(
                    f"{self._out} holds embeddings of other videos ({old.manifest.source}).",
                    hint="Choose another --out, or remove that folder.",
                )
            return self._embed(videos, model, opened_from, old, progress)

    def _embed(
        self,
        videos: Sequence[NamedVideo],
        model: RetrievalModel,
        opened_from: dict[str, str | None],
        old: Catalogue | None,
        progress: Progress,
    ) -> EmbedReport:
        report = EmbedReport(self._out, str(self._source), model.dim)
        fit = self._fit(videos, report)
        report.pruned = self._prune({video.name for video in fit})
        done = self._standing(fit, model_fingerprint(model), old, progress)
        report.kept = len(done)
        todo = [video for video in fit if video.name not in done]
        if old and todo:
            forget(self._out, old, [video.name for video in todo])
        done |= self._embed_new(todo, model, report, progress)
        entries = [done.get(one.name, Entry(one.name, one.relative)) for one in videos]
        entries = [entry for entry in entries if encodable(entry.relative)]
        report.names = {entry.name: entry.relative for entry in entries if entry.sha256}
        manifest = _manifest(report, model, opened_from, entries, old)
        whole = old if old and vectors_stand(self._out, old.manifest) else None
        if whole is None or report.embedded or manifest.content != whole.manifest.content:
            write_catalogue(self._out, manifest, entries, whole)
        publish(report, self._options, read_catalogue(self._out), old.manifest if old else None)
        self._hashes.save()
        return report

    def _fit(self, videos: Sequence[NamedVideo], report: EmbedReport) -> list[NamedVideo]:
        """The videos whose files can be named; the others become failures."""
        fit = []
        for video in videos:
            last = video.name.rpartition("/")[2]
            if not encodable(video.relative):
                shown = ascii(video.relative)
                text = f"{shown}: its name is not valid Unicode; rename it."
                report.failures.append(Failure(shown, shown, "bad_name", text))
            elif len(os.fsencode(last + LONGEST_SUFFIX)) > _NAME_BYTES:
                text = f"{video.path}: its name leaves no room for {LONGEST_SUFFIX}."
                report.failures.append(Failure(video.name, video.relative, "name_too_long", text))
            else:
                fit.append(video)
        return fit

    def _prune(self, wanted: set[str]) -> int:
        for left in self._out.rglob(f".*{TEMPORARY_SUFFIX}*"):
            if left.is_file():
                left.unlink()  # of a killed run; this one has claimed the folder
        stale = record_names(self._out) - wanted
        for name in stale:
            self._remove(name)
        return len(stale)

    def _remove(self, name: str) -> None:
        record = record_path(self._out, name)
        record.unlink(missing_ok=True)
        remove_embedding(self._out, name)
        for folder in (record.parent, (self._out / name).parent):
            _remove_empty(folder, self._out)

    def _standing(
        self,
        videos: Sequence[NamedVideo],
        marked: str,
        old: Catalogue | None,
        progress: Progress,
    ) -> dict[str, Entry]:
        """The videos whose records are whole, of this model and of the video's bytes."""
        known = old.entries if old and old.manifest.fingerprint == marked else {}
        done = {}
        with progress.task("checking videos", len(videos)) as advance:
            for video in videos:
                path = record_path(self._out, video.name)
                size = path.stat().st_size if path.exists() else -1
                entry = known.get(video.name)
                if size >= 0 and not (entry and entry.sha256 and entry.bytes == size):
                    entry = self._opened(video, marked, size)
                if size >= 0 and entry and _digest(video.path, self._hashes) == entry.sha256:
                    done[video.name] = entry
                advance()
        return done

    def _opened(self, video: NamedVideo, marked: str, size: int) -> Entry | None:
        """What a record says that no table knows, after a kill."""
        record = read_record(self._out, video.name)
        if record is None or record.fingerprint != marked:
            return None
        return Entry(video.name, video.relative, record.sha256, size, record.duration_s)

    def _embed_new(
        self,
        todo: Sequence[NamedVideo],
        model: RetrievalModel,
        report: EmbedReport,
        progress: Progress,
    ) -> dict[str, Entry]:
        by_path = {video.path: video for video in todo}
        stats = {video.path: _stat(video.path) for video in todo}
        done = {}
        workers = {"threads": self._options.threads, "decoders": self._options.decoders}
        with progress.task("embedding videos", len(todo)) as advance:
            for outcome in embed_files(by_path, model, **workers):
                video = by_path[outcome.path]
                advance(note=video.name)
                if isinstance(outcome, Failed):
                    # Old vectors of a video that can no longer be read must not pass for its own.
                    self._remove(video.name)
                    report.failures.append(
                        Failure(video.name, video.relative, outcome.reason, outcome.message)
                    )
                    continue
                record = outcome.record
                remove_embedding(self._out, video.name)
                write_record(self._out, video.name, record)
                size = record_path(self._out, video.name).stat().st_size
                done[video.name] = Entry(
                    video.name, video.relative, record.sha256, size, record.duration_s
                )
                report.seconds[video.name] = outcome.seconds
                report.embedded += 1
                info = stats[video.path]
                if info is not None:
                    self._hashes.put(str(video.path), info, record.sha256)
        return done


def _manifest(
    report: EmbedReport,
    model: RetrievalModel,
    opened_from: dict[str, str | None],
    entries: Sequence[Entry],
    old: Catalogue | None,
) -> Manifest:
    marked = model_fingerprint(model)
    facts: dict[str, Any] = {**model.identity, "trained": model.trained}
    failures = sorted((one.file, one.reason) for one in report.failures)
    named = [(entry.name, entry.relative, entry.sha256) for entry in entries]
    content = fingerprint([report.source, marked, facts, opened_from, named, failures])
    unchanged = old is not None and old.manifest.content == content
    return Manifest(
        source=report.source,
        fingerprint=marked,
        model=facts,
        opened_from=opened_from,
        dim=model.dim,
        index="exact",
        embedded=len(report.names),
        failed=len(report.failures),
        content=content,
        processing_date=old.manifest.processing_date if unchanged and old else _now(),
    )


def _remove_empty(folder: Path, root: Path) -> None:
    while folder != root and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _digest(path: Path, hashes: HashCache) -> str | None:
    """The hash of a video; ``None`` where it cannot be read, which decoding then reports."""
    try:
        return hashes.sha256(path)
    except OSError:
        return None


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None

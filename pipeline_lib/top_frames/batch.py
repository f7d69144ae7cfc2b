"""Many queries: one decode a video for all its captions, and finished ones are kept."""

import shutil
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline_lib.backbones.clip import ClipBackbone
from pipeline_lib.errors import BatchError, DataError, VideoError
from pipeline_lib.paths import name_fault, under
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.atomic import write_json
from pipeline_lib.storage.directories import claimed, replacing_in_claimed
from pipeline_lib.storage.hash_cache import HashCache
from pipeline_lib.storage.tables import write_csv
from pipeline_lib.top_frames.folder import (
    Source,
    facts_of,
    read_record,
    refuse_foreign_result,
    write_frame,
    write_rest,
)
from pipeline_lib.top_frames.options import ChoiceOptions
from pipeline_lib.top_frames.queries import FAILURES, INDEX, Query, QueryFault, QueryFile
from pipeline_lib.top_frames.ranking import embed_captions, rank_frames, read_pixels
from pipeline_lib.video.decoders.base import check_file


@dataclass
class BatchReport:
    """What a batch did.

    Attributes:
        records: By id, what ``frames.json`` of each query with results holds.
        kept: How many of these were there already.
        failures: Queries without results.
    """

    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    kept: int = 0
    failures: list[QueryFault] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """As ``index.json`` has it: sorted by id, and without what only this run knows."""
        results = [
            {"id": name, "folder": name, **self.records[name]} for name in sorted(self.records)
        ]
        return {"results": results, "failed": len(self.failures)}

    def lines(self, out: Path) -> list[str]:
        """For people."""
        chosen = len(self.records) - self.kept
        counts = f"{chosen} chosen, {self.kept} kept, {len(self.failures)} failed"
        return [f"{out / INDEX}: {counts}"]

    def raise_failures(self, out: Path) -> None:
        """Turn failures into the error a batch ends with.

        Raises:
            BatchError: Some queries have no results; all others do.
        """
        if self.failures:
            total = len(self.records) + len(self.failures)
            raise BatchError(
                f"{len(self.failures)} of {total} queries have no frames, first: "
                f"{self.failures[0].message}",
                hint=f"All are listed in {out / FAILURES}; the other queries are done.",
            )


class QueryRunner:
    """Answers queries into one folder of results each.

    Args:
        model: Scores frames.
        options: How frames are chosen.
        videos: The folder that queries name videos below.
        out: Gets ``<id>/``, ``index.json`` and, where there are any, ``failures.csv``.
        hashes: Remembers hashes of videos between runs.
    """

    def __init__(
        self,
        model: ClipBackbone,
        options: ChoiceOptions,
        videos: Path,
        out: Path,
        hashes: HashCache,
    ) -> None:
        self._model = model
        self._options = options
        self._videos = videos
        self._out = out
        self._hashes = hashes
        self._directions: dict[str, NDArray[np.float32]] = {}

    def run(self, file: QueryFile, progress: Progress = SILENT) -> BatchReport:
        """Answer all queries; one that fails is listed and does not stop the others.

        A query whose results are there, from the same bytes of the video, caption, model and
        options, is not answered again. Results of other queries stay where they are.

        Raises:
            DataError: The folder of results holds something else, or another run is at work on it.
            WeightsError: The model gives embeddings without direction.
        """
        refuse_foreign_results(self._out)
        with claimed(self._out, self._out):
            return self._run(file, progress)

    def _run(self, file: QueryFile, progress: Progress) -> BatchReport:
        report = BatchReport(failures=list(file.faults))
        by_video: defaultdict[Path, list[Query]] = defaultdict(list)
        for query in file.queries:
            by_video[_spelled(self._videos, query.video)].append(query)
        with progress.task("choosing frames, by video", len(by_video)) as advance:
            for path in sorted(by_video):
                try:
                    self._answer(path, by_video[path], report)
                except VideoError as error:
                    report.failures += [
                        QueryFault(query.id, query.video, query.line, error.reason, error.message)
                        for query in by_video[path]
                        if query.id not in report.records
                    ]
                advance(note=path.stem)
        self._hashes.save()
        self._write_tables(report)
        return report

    def _answer(self, path: Path, queries: Sequence[Query], report: BatchReport) -> None:
        check_file(path)
        digest = self._hashes.sha256(path)
        todo: list[tuple[Query, Source]] = []
        for query in queries:
            facts = facts_of(self._model, self._options, digest, query.caption)
            record = read_record(self._out / query.id)
            if record and (record.get("fingerprint"), record.get("video")) == (
                facts["fingerprint"],
                query.video,
            ):
                report.records[query.id] = record
                report.kept += 1
            else:
                todo.append((query, Source(query.video, facts)))
        if todo:
            report.records |= self._results(path, todo)

    def _results(self, path: Path, todo: Sequence[tuple[Query, Source]]) -> dict[str, Any]:
        """Choose and write the frames of all queries of one video."""
        captions = [query.caption for query, _ in todo]
        rankings = rank_frames(path, captions, self._embedded(captions), self._model, self._options)
        with ExitStack() as stack:
            folders = [
                stack.enter_context(replacing_in_claimed(self._out / query.id)) for query, _ in todo
            ]
            for index, image in read_pixels(path, rankings, self._options.size):
                for folder, ranking in zip(folders, rankings, strict=True):
                    if index in ranking.source_index[ranking.chosen]:
                        write_frame(folder, ranking, index, image)
            return {
                query.id: write_rest(folder, ranking, source)
                for (query, source), folder, ranking in zip(todo, folders, rankings, strict=True)
            }

    def _embedded(self, captions: Iterable[str]) -> NDArray[np.float32]:
        """One by one: the bits of a caption's direction depend on what is embedded beside it."""
        for caption in captions:
            if caption not in self._directions:
                self._directions[caption] = embed_captions(self._model, [caption])[0]
        return np.stack([self._directions[caption] for caption in captions])

    def _write_tables(self, report: BatchReport) -> None:
        for failure in report.failures:
            # An id at fault may lead anywhere.
            if name_fault(failure.id) is None and read_record(self._out / failure.id):
                shutil.rmtree(self._out / failure.id)  # of another video or caption
        report.failures.sort(key=lambda failure: failure.line)
        table = self._out / FAILURES
        if report.failures:
            write_csv(table, pd.DataFrame(map(asdict, report.failures)))
        else:
            table.unlink(missing_ok=True)
        write_json(self._out / INDEX, report.as_dict())


def _spelled(videos: Path, name: str) -> Path:
    """The file a query names; file systems keep the Unicode form they were given."""
    forms = (name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name))
    paths = [under(videos, form) for form in forms]
    return next((path for path in paths if path.exists()), paths[0])


def refuse_foreign_results(out: Path) -> None:
    """Refuse a folder that holds anything but results of queries.

    Raises:
        DataError: It does, or it is no folder.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: not a directory.", hint="Choose another --out.")
    for path in sorted(out.iterdir()) if out.exists() else []:
        if path.name in (INDEX, FAILURES) or path.name.startswith("."):
            continue
        if not path.is_dir():
            raise DataError(
                f"{out} holds {path.name!r}, which a batch of top-frames did not make.",
                hint="Choose another --out, or move that away.",
            )
        refuse_foreign_result(path)

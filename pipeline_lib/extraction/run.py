"""A run of extraction: plan what is missing, have it done, write down what stands."""

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pipeline_lib.extraction.engine import Outcome, Work
from pipeline_lib.extraction.executors import EXECUTORS, Run
from pipeline_lib.extraction.output import Output
from pipeline_lib.extraction.plan import (
    FAILURES,
    make_plan,
    others,
    prune,
    remove_leftovers,
    scan,
)
from pipeline_lib.extraction.report import ExtractionReport
from pipeline_lib.extraction.shards import (
    Part,
    Shard,
    begin,
    claim,
    clear,
    gather_parts,
    leave_part,
)
from pipeline_lib.fingerprint import fingerprint
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.features import MANIFEST, SUFFIXES, VideoEntry, remove_features
from pipeline_lib.storage.hash_cache import HashCache
from pipeline_lib.video.files import FoundVideos, VideoFile

log = logging.getLogger(__name__)


@dataclass
class _State:
    """One output while the run goes on."""

    output: Output
    report: ExtractionReport
    entries: dict[str, VideoEntry]
    todo: frozenset[str]


class Extraction:
    """Several backbones over the same videos, each of which is decoded once.

    Args:
        run: The backbones and their outputs.
        own_directory: The directories belong to these videos alone, so features of any other are
            removed; otherwise they stay and stay listed in the manifest.
        shard: Take only this part of the videos; the shard that finishes last writes the manifest
            and the failure table of all.
        hash_cache: Where hashes of videos are remembered, so that an unchanged one is not read
            again; ``None`` reads every video that has features.
    """

    def __init__(
        self,
        run: Run,
        *,
        own_directory: bool,
        shard: Shard | None = None,
        hash_cache: Path | None = None,
    ) -> None:
        self._run = run
        self._own = own_directory
        self._shard = shard
        self._hashes = HashCache(hash_cache)

    def extract(self, found: FoundVideos, progress: Progress = SILENT) -> list[ExtractionReport]:
        """Extract what is missing.

        Args:
            found: The wanted videos.
            progress: Told of every finished video.

        Returns:
            What was done for each backbone; videos that failed are in its ``failures`` and in its
            ``failures.csv``.

        Raises:
            DataError: A directory holds other videos' features made with other settings.
        """
        mine = self._shard.part(found.videos) if self._shard else list(found.videos)
        states = [self._begin(output, found, mine, progress) for output in self._run.outputs]
        self._hashes.save()
        before = {video.id: _info(video.path) for video in mine if _is_todo(video, states)}
        work = _work(mine, states, before)
        titles = ", ".join(output.name for output in self._run.outputs)
        executor = EXECUTORS.get(self._run.settings.runtime.executor)
        videos = {video.id: video for video in mine}
        with (
            progress.task(f"extracting {titles}", len(work)) as advance,
            closing(executor(self._run, work)) as outcomes,
        ):
            for outcome in outcomes:
                video = videos[outcome.work.video_id]
                self._take(outcome, video, states, before[video.id])
                advance(note=outcome.work.video_id)
        for state in states:
            state.report.extracted.sort()
            self._finish(state, found)
        self._hashes.save()
        return [state.report for state in states]

    def _begin(
        self, output: Output, found: FoundVideos, mine: Sequence[VideoFile], progress: Progress
    ) -> _State:
        report = ExtractionReport(output.name, output.directory)
        if self._shard is not None:
            begin(output.directory, self._shard)
        sizes = scan(output.directory)
        remove_leftovers(output.directory, sizes, self._files_of(mine))
        rest: dict[str, VideoEntry] = {}
        if not self._own:
            rest = others(output.directory, sizes, found.videos, output.fingerprint)
        elif self._shard is None:
            report.pruned = prune(output.directory, sizes, (video.id for video in found.videos))
        ambiguous = self._shard.part(found.ambiguous) if self._shard else found.ambiguous
        fit = report.fit(mine, ambiguous)
        plan = make_plan(output.directory, sizes, fit, output.fingerprint, self._hashes, progress)
        report.kept = sorted(plan.done)
        return _State(output, report, {**rest, **plan.done}, plan.todo)

    def _files_of(self, mine: Sequence[VideoFile]) -> list[str]:
        """What this run alone writes."""
        files = [f"{video.id}{suffix}" for video in mine for suffix in SUFFIXES]
        return files if self._shard else [*files, MANIFEST, FAILURES]

    def _take(
        self,
        outcome: Outcome,
        video: VideoFile,
        states: Sequence[_State],
        before: os.stat_result | None,
    ) -> None:
        for index in outcome.work.outputs:
            state = states[index]
            if outcome.reason is not None:
                # Old features of a video that can no longer be read must not pass for its own.
                remove_features(state.output.directory, video.id)
                state.report.fail(video.id, video.path, outcome.reason, outcome.message)
                continue
            entry = outcome.entries[index]
            state.entries[video.id] = entry
            state.report.extracted.append(video.id)
            state.report.samples += outcome.samples[index]
            if before is not None:
                self._hashes.put(str(video.path), before, entry.sha256)
            if entry.decode_errors:
                log.warning(
                    "%s: damaged, %d packets or frames could not be used",
                    video.path,
                    entry.decode_errors,
                )

    def _finish(self, state: _State, found: FoundVideos) -> None:
        output, report = state.output, state.report
        if self._shard is None:
            output.write_manifest(state.entries)
            report.write_failures()
            clear(output.directory)
            return
        ids = [video.id for video in found.videos]
        key = fingerprint([output.fingerprint, ids])
        mine = set(self._shard.part(ids))
        own = {video_id: state.entries[video_id] for video_id in mine & state.entries.keys()}
        leave_part(output.directory, self._shard, key, Part(own, report.failures))
        whole = gather_parts(output.directory, self._shard.count, key)
        if whole is None or not claim(output.directory):
            return
        sizes, rest = scan(output.directory), {}
        if self._own:
            report.pruned = prune(output.directory, sizes, ids)
        else:
            rest = others(output.directory, sizes, found.videos, output.fingerprint)
        output.write_manifest({**rest, **whole.entries})
        ExtractionReport(output.name, output.directory, failures=whole.failures).write_failures()
        clear(output.directory)


def _is_todo(video: VideoFile, states: Sequence[_State]) -> bool:
    return any(video.id in state.todo for state in states)


def _work(
    videos: Sequence[VideoFile],
    states: Sequence[_State],
    infos: Mapping[str, os.stat_result | None],
) -> list[Work]:
    """The videos that some output lacks, large ones first so that none is left for the end."""
    work = [
        Work(
            video.id,
            str(video.path),
            tuple(n for n, state in enumerate(states) if video.id in state.todo),
        )
        for video in videos
        if video.id in infos
    ]

    def order(one: Work) -> tuple[int, str]:
        info = infos[one.video_id]
        return (-info.st_size if info else 0, one.video_id)

    return sorted(work, key=order)


def _info(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None

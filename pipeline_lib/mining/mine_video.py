"""All items of one video: one decode, whatever their number."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.config import MineConfig
from pipeline_lib.datasets.mined import FAILED, MINED, NO_SUPPORT_FRAMES
from pipeline_lib.datasets.questions import Question
from pipeline_lib.errors import VideoError
from pipeline_lib.mining.candidates import ItemPlan, SegmentDraws, plan_item, timeline_s
from pipeline_lib.mining.items import ItemError, VideoSpan, support_times
from pipeline_lib.mining.mine_item import mine_item
from pipeline_lib.mining.report import ItemRecord, MiningReport
from pipeline_lib.mining.saving import discard_items, save_items
from pipeline_lib.mining.spool import Spool
from pipeline_lib.mining.watching import Embedder, WatchedVideo
from pipeline_lib.storage.hash_cache import HashCache
from pipeline_lib.video.announcement import announcement


@dataclass(frozen=True)
class VideoMiner:
    """Mines one video after the other; may be called from several threads.

    Attributes:
        embedder: Embeds frames.
        config: Segments, tries, threshold, strategy, policies, seed.
        out: Gets ``frames_true/<id>/``, ``frames_neg/<id>/`` and ``sheets/<id>.png``.
        hashes: Known hashes of videos.
        source: The question file, for messages.
    """

    embedder: Embedder
    config: MineConfig
    out: Path
    hashes: HashCache
    source: str

    def mine(self, path: Path, questions: Sequence[Question]) -> MiningReport:
        """Mine the items of one video.

        Args:
            path: The video.
            questions: Its items; what each of them gets does not depend on the others.

        Raises:
            WeightsError: The backbone cannot tell frames apart.
        """
        report, sha256 = MiningReport(), ""
        questions = sorted(questions, key=lambda question: question.id)
        try:
            sha256 = self._digest(path)
            times_s, span = _span(path)
            plans = self._plans(questions, sha256, times_s, span, report)
            if plans:
                self._mine_planned(path, sha256, times_s, plans, report)
        except VideoError as error:
            discard_items([question.id for question in questions], self.out)
            lost = [self.failed(question, error, sha256) for question in questions]
            return MiningReport(records=lost)
        return report

    def failed(
        self, question: Question, error: ItemError | VideoError, sha256: str = ""
    ) -> ItemRecord:
        """The record of an item that cannot be mined."""
        times = sorted(set(question.support_frames))
        return self.record(question, FAILED, times, error.reason, error.message, sha256)

    def record(
        self,
        question: Question,
        status: str,
        times_s: Sequence[float] = (),
        reason: str = "",
        message: str = "",
        sha256: str = "",
    ) -> ItemRecord:
        """The record of an item; ``message`` is put behind its place in the question file."""
        if message:
            message = f"{self.source}:{question.line}: item {question.id!r}: {message}"
        return ItemRecord(
            id=question.id,
            line=question.line,
            video_path=question.video_path,
            video_sha256=sha256,
            question=question.question,
            choices=question.choices,
            support_frames=tuple(times_s),
            status=status,
            reason=reason,
            message=message,
        )

    def _plans(
        self,
        questions: Sequence[Question],
        sha256: str,
        times_s: NDArray[np.float64],
        span: VideoSpan,
        report: MiningReport,
    ) -> list[ItemPlan]:
        """What each item needs; those without a time in the video are put into ``report``."""
        draws = SegmentDraws(sha256, times_s, self.config)
        plans = []
        for question in questions:
            try:
                times = support_times(question, span, self.config)
            except ItemError as error:
                report.records.append(self.failed(question, error, sha256))
                continue
            report.times_clamped += times.clamped
            report.times_dropped += times.dropped
            if times.times_s:
                plans.append(plan_item(question, times, times_s, draws))
                continue
            message = "none of its support frames is in its video, and they were dropped"
            if not question.support_frames:
                message = "it names no support frames, so nothing is true or negative for it"
            skipped = self.record(
                question, NO_SUPPORT_FRAMES, (), NO_SUPPORT_FRAMES, message, sha256
            )
            report.records.append(skipped)
        return plans

    def _mine_planned(
        self,
        path: Path,
        sha256: str,
        times_s: NDArray[np.float64],
        plans: Sequence[ItemPlan],
        report: MiningReport,
    ) -> None:
        wanted = set().union(*(plan.frames for plan in plans))
        with TemporaryDirectory(dir=self.out, prefix=".") as folder:
            spool = Spool(Path(folder))
            video = WatchedVideo(path, sha256, times_s, wanted, self.embedder, spool)
            report.mined = [mine_item(plan, video.frames, self.config) for plan in plans]
            save_items(report.mined, video, timeline_s(times_s), self.config, self.out)
        report.records += [
            self.record(plan.question, MINED, plan.times.times_s, sha256=sha256) for plan in plans
        ]

    def _digest(self, path: Path) -> str:
        try:
            return self.hashes.sha256(path)
        except OSError as error:
            raise VideoError(f"{path}: {error.strerror}.", reason="unreadable") from None


def _span(path: Path) -> tuple[NDArray[np.float64], VideoSpan]:
    """Presentation times of all frames, and when the last one ends; nothing is decoded."""
    announced = announcement(path)
    frames = len(announced.times)
    times_s = np.array([announced.pts_s(number) for number in range(frames)], dtype=np.float64)
    return times_s, VideoSpan(float(times_s[-1]), announced.end_s(frames))

"""Mining of many items: one decode a video, frames and a contact sheet for every item."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline_lib.backbones.base import Backbone
from pipeline_lib.config import MineConfig
from pipeline_lib.datasets.questions import Question
from pipeline_lib.errors import VideoError
from pipeline_lib.mining.candidates import plan_item
from pipeline_lib.mining.items import ItemError, Unmined, VideoFolder, check_item
from pipeline_lib.mining.mine_item import mine_item
from pipeline_lib.mining.report import MiningReport
from pipeline_lib.mining.watching import WatchedVideo
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.video.probe import timestamps


class Miner:
    """Finds the true and negative frames of question items.

    Args:
        backbone: Compares frames.
        config: Segments, tries, threshold, seed.
        out: An empty folder that gets ``frames_true/<id>/``, ``frames_neg/<id>/`` and
            ``sheets/<id>.png``.
    """

    def __init__(self, backbone: Backbone, config: MineConfig, out: Path) -> None:
        self._backbone = backbone
        self._config = config
        self._out = out

    def run(
        self, questions: Iterable[Question], videos: VideoFolder, progress: Progress = SILENT
    ) -> MiningReport:
        """Mine all items; one that fails is listed and does not stop the others.

        Returns:
            What was found; it depends neither on the order of the items nor on which others
            there are.

        Raises:
            WeightsError: The backbone cannot tell frames apart.
        """
        report = MiningReport()
        by_video: defaultdict[Path, list[Question]] = defaultdict(list)
        for question in questions:
            try:
                check_item(question)
                path = videos.locate(question.video_path)
            except ItemError as error:
                report.failures.append(Unmined.of(question, error.reason, error.message))
                continue
            if videos.excludes(question.video_path):
                message = "data.exclude in params.yaml names its video."
                report.skipped.append(Unmined.of(question, "excluded", message))
            elif not question.support_frames:
                message = "It names no support frames, so nothing is true or negative for it."
                report.skipped.append(Unmined.of(question, "no_support_frames", message))
            else:
                by_video[path].append(question)
        with progress.task("mining videos", len(by_video)) as advance:
            for path in sorted(by_video):
                self._mine_video(path, by_video[path], report)
                advance(note=path.stem)
        return report

    def _mine_video(self, path: Path, questions: Sequence[Question], report: MiningReport) -> None:
        with TemporaryDirectory(dir=self._out, prefix=".") as spool:
            try:
                times_s = timestamps(path)
                plans = [plan_item(question, times_s, self._config) for question in questions]
                wanted = {c.frame for plan in plans for c in plan.candidates}.union(
                    *(plan.true for plan in plans)
                )
                video = WatchedVideo(path, times_s, wanted, self._backbone, Path(spool))
            except VideoError as error:
                report.failures += [Unmined.of(q, error.reason, error.message) for q in questions]
                return
            for plan in plans:
                try:
                    report.mined.append(mine_item(plan, video, self._config, self._out))
                except ItemError as error:
                    report.failures.append(Unmined.of(plan.question, error.reason, error.message))

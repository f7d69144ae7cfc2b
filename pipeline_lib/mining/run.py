"""Mining of many items: several videos at a time, each decoded once."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from pipeline_lib.backbones.base import Backbone
from pipeline_lib.config import MineConfig
from pipeline_lib.datasets.mined import EXCLUDED
from pipeline_lib.datasets.questions import Question, QuestionFile
from pipeline_lib.mining.embedding_cache import EmbeddingCache
from pipeline_lib.mining.items import ItemError, VideoFolder
from pipeline_lib.mining.mine_video import VideoMiner
from pipeline_lib.mining.report import ItemRecord, MiningReport
from pipeline_lib.mining.watching import Embedder
from pipeline_lib.runtime.lanes import Lanes, cores
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.hash_cache import HashCache

# Below a scratch folder: embeddings of frames, and hashes of videos as extraction keeps them.
_EMBEDDINGS, _HASHES = "mining", "video_hashes.json"


class Miner:
    """Finds the true and negative frames of question items.

    Args:
        backbone: Compares frames.
        config: Segments, tries, threshold, strategy, policies, seed.
        out: An empty folder that gets ``frames_true/<id>/``, ``frames_neg/<id>/`` and
            ``sheets/<id>.png``.
        workers: Videos at a time; 0 takes one a core.
        scratch: Remembers embeddings for the next run, also of a run that is killed; ``None``
            remembers nothing.
    """

    def __init__(
        self,
        backbone: Backbone,
        config: MineConfig,
        out: Path,
        *,
        workers: int = 0,
        scratch: Path | None = None,
    ) -> None:
        self._backbone = backbone
        self._config = config
        self._out = out
        self._workers = workers or cores()
        self._cache = EmbeddingCache(scratch / _EMBEDDINGS if scratch else None, backbone)
        self._hashes = HashCache(scratch / _HASHES if scratch else None)

    def run(
        self,
        items: QuestionFile,
        videos: VideoFolder,
        progress: Progress = SILENT,
        source: str = "qa.json",
    ) -> MiningReport:
        """Mine all items; one that fails is listed and does not stop the others.

        Args:
            items: Those of the question file.
            videos: What they may name.
            progress: Told of every finished video.
            source: The question file, for messages.

        Returns:
            What was found; it depends neither on the order of the items, nor on which others
            there are, nor on the number of workers.

        Raises:
            WeightsError: The backbone cannot tell frames apart.
        """
        report = MiningReport([ItemRecord.of_fault(fault) for fault in items.faults])
        with Lanes(self._backbone.device, self._workers) as lanes:
            embedder = Embedder(self._backbone, lanes, self._cache)
            miner = VideoMiner(embedder, self._config, self._out, self._hashes, source)
            by_video = _group(items.questions, videos, miner, report)
            try:
                self._mine(miner, by_video, report, progress)
            finally:
                self._hashes.save()
        return report

    def _mine(
        self,
        miner: VideoMiner,
        by_video: Mapping[Path, Sequence[Question]],
        report: MiningReport,
        progress: Progress,
    ) -> None:
        pool = ThreadPoolExecutor(self._workers, "video")
        try:
            with progress.task("mining videos", len(by_video)) as advance:
                running = {pool.submit(miner.mine, path, by_video[path]): path
                           for path in sorted(by_video)}  # fmt: skip
                for done in as_completed(running):
                    report.add(done.result())
                    advance(note=running.pop(done).stem)
        finally:
            # After an error or Ctrl-C only the videos that have begun are finished.
            pool.shutdown(wait=True, cancel_futures=True)


def _group(
    questions: Sequence[Question], videos: VideoFolder, miner: VideoMiner, report: MiningReport
) -> dict[Path, list[Question]]:
    """Items by video; those that need none decoded are put into ``report``."""
    by_video: defaultdict[Path, list[Question]] = defaultdict(list)
    for question in questions:
        if videos.excludes(question.video_path):
            message = "data.exclude in params.yaml names its video"
            times = sorted(set(question.support_frames))
            report.records.append(miner.record(question, EXCLUDED, times, EXCLUDED, message))
            continue
        try:
            by_video[videos.locate(question.video_path)].append(question)
        except ItemError as error:
            report.records.append(miner.failed(question, error))
    return by_video

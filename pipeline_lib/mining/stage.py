"""Mining as the pipeline's stage wants it."""

from dataclasses import replace
from pathlib import Path

from pipeline_lib.backbones.base import Backbone
from pipeline_lib.backbones.loading import load_backbone
from pipeline_lib.config import Params
from pipeline_lib.datasets.mined import FRAMES, ITEMS
from pipeline_lib.datasets.questions import read_questions
from pipeline_lib.mining.items import VideoFolder
from pipeline_lib.mining.report import FAILURES, SKIPPED, MiningReport
from pipeline_lib.mining.run import Miner
from pipeline_lib.runtime.device import choose_device
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.atomic import write_json
from pipeline_lib.storage.directories import refuse_foreign, replacing_directory

_MADE_HERE = frozenset(("frames_true", "frames_neg", "sheets", FRAMES, ITEMS, FAILURES, SKIPPED))
# A video has few frames to embed, and every pass is filled up to its batch. On the CPU one of this
# size is as fast a frame as a larger one.
_CPU_BATCH = 8


def mine_stage(
    params: Params,
    out: Path,
    metrics: Path,
    *,
    scratch: Path | None = None,
    progress: Progress = SILENT,
) -> MiningReport:
    """Mine the items of the question file.

    Args:
        params: The sections ``data``, ``mine``, ``extract`` and ``runtime``.
        out: The directory that belongs to this stage; what it held before is replaced.
        metrics: The JSON file for the counts.
        scratch: Remembers embeddings and hashes of videos between runs.
        progress: Told of every finished video.

    Returns:
        What was found; the caller decides what failures mean.

    Raises:
        DataError: The question file is unusable, there are no videos, or ``out`` holds foreign
            files.
        ConfigError: The backbone has no section.
        WeightsError: Its weights are missing or unfit.
    """
    refuse_foreign(out, _is_made_here, "mining")
    root = Path(params.data.root)
    source = root / params.data.questions
    items = read_questions(source)
    videos = VideoFolder(root / "videos", params.data.exclude)
    backbone, workers = _backbone(params), params.runtime.mine_workers
    with replacing_directory(out) as directory:
        miner = Miner(backbone, params.mine, directory, workers=workers, scratch=scratch)
        report = miner.run(items, videos, progress, str(source))
        report.write_tables(directory)
    write_json(metrics, report.metrics())
    return report


def _backbone(params: Params) -> Backbone:
    batch_size = params.extract.batch_size
    if choose_device(params.runtime.device).type == "cpu":
        batch_size = min(batch_size, _CPU_BATCH)
    config = replace(params.extract, batch_size=batch_size)
    return load_backbone(params.mine.backbone, config, params.runtime)


def _is_made_here(name: str) -> bool:
    return name in _MADE_HERE or name.startswith(".")

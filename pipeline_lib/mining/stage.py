"""Mining as the pipeline's stage wants it."""

from pathlib import Path

from pipeline_lib.backbones.loading import load_backbone
from pipeline_lib.config import Params
from pipeline_lib.datasets.questions import read_questions
from pipeline_lib.errors import DataError
from pipeline_lib.mining.items import VideoFolder
from pipeline_lib.mining.report import FAILURES, SKIPPED, TABLE, MiningReport
from pipeline_lib.mining.run import Miner
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.atomic import write_json
from pipeline_lib.storage.directories import replacing_directory

_MADE_HERE = frozenset(("frames_true", "frames_neg", "sheets", TABLE, FAILURES, SKIPPED))


def mine_stage(
    params: Params, out: Path, metrics: Path, progress: Progress = SILENT
) -> MiningReport:
    """Mine the items of ``<data.root>/qa.json``.

    Args:
        params: The sections ``data``, ``mine``, ``extract`` and ``runtime``.
        out: The directory that belongs to this stage; what it held before is replaced.
        metrics: The JSON file for the counts.
        progress: Told of every finished video.

    Returns:
        What was found; the caller decides what failures mean.

    Raises:
        DataError: ``qa.json`` is unusable, there are no videos, or ``out`` holds foreign files.
        ConfigError: The backbone has no section.
        WeightsError: Its weights are missing or unfit.
    """
    _refuse_foreign(out)
    root = Path(params.data.root)
    questions = read_questions(root / "qa.json")
    videos = VideoFolder(root / "videos", params.data.exclude)
    backbone = load_backbone(params.mine.backbone, params.extract, params.runtime)
    with replacing_directory(out) as directory:
        report = Miner(backbone, params.mine, directory).run(questions, videos, progress)
        report.write_tables(directory)
    write_json(metrics, report.metrics())
    return report


def _refuse_foreign(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: not a directory.", hint="Choose another --out.")
    names = [path.name for path in out.iterdir()] if out.exists() else []
    foreign = sorted(n for n in names if n not in _MADE_HERE and not n.startswith("."))
    if foreign:
        raise DataError(
            f"{out} holds {foreign[0]!r}, which mining did not make; the whole directory would be "
            "replaced.",
            hint="Choose another --out, or move that away.",
        )

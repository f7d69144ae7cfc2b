"""Mined frames: true ones of every question, and hard negatives from the same video."""

from collections.abc import Mapping

from pipeline_lib.datasets.mined import FAILED
from pipeline_lib.reporting.project import Project
from pipeline_lib.reporting.spec import Failed, Gallery, Output, Part
from pipeline_lib.storage.tables import read_parquet

_ITEMS = "data/mined/items.parquet"
_SHOWN = ("id", "video_path", "reason", "message")


def _captions(project: Project) -> Mapping[str, str]:
    items = read_parquet(project.path(_ITEMS), ("id", "question"))
    return dict(zip(items["id"], items["question"], strict=True))


def _failures(project: Project) -> list[Failed]:
    if not project.exists(_ITEMS):
        return []
    items = read_parquet(project.path(_ITEMS), ("status", *_SHOWN))
    failed = items[items["status"] == FAILED].sort_values("id", kind="stable")
    rows = tuple(tuple(map(str, row)) for row in failed[list(_SHOWN)].itertuples(index=False))
    return [Failed("Mining", len(items), "questions", _SHOWN, rows)]


PART = Part(
    name="mine",
    title="Mined frames",
    outputs=(
        Output(_ITEMS, "mined frames", "dvc repro mine"),
        Output("data/mined/sheets", "contact sheets", "dvc repro mine"),
    ),
    galleries=(
        Gallery(
            "Mined frames",
            "data/mined/sheets",
            "The true frames of a question, and the frames of the same video that were mined "
            "as hard negatives.",
            _captions,
        ),
    ),
    failures=(_failures,),
)

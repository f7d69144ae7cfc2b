"""Windows of videos, labelled from annotations."""

from pipeline_lib.reporting.project import Project
from pipeline_lib.reporting.spec import Failed, Output, Part
from pipeline_lib.reporting.tables import read_tree

_METRICS = "metrics/windows.json"
_COUNTS = ("short_videos", "unannotated_videos")


def _failures(project: Project) -> list[Failed]:
    if not project.exists(_METRICS):
        return []
    tree = read_tree(project.path(_METRICS))
    splits = {
        name: split for name, split in tree.items() if isinstance(split, dict) and "videos" in split
    }
    rows = [
        (name, count.replace("_", " "), str(split[count]))
        for name, split in splits.items()
        for count in _COUNTS
        if split.get(count)
    ]
    if tree.get("unmatched_rows"):
        rows.append(("all", "annotations that name no video", str(tree["unmatched_rows"])))
    looked_at = sum(split["videos"] for split in splits.values())
    return [Failed("Windows", looked_at, "videos", ("split", "what", "how many"), tuple(rows))]


PART = Part(
    name="windows",
    title="Windows",
    outputs=(Output(_METRICS, "labelled windows", "dvc repro annotate-filter"),),
    failures=(_failures,),
)

"""Failure tables that several parts leave in the same form."""

from pipeline_lib.reporting.project import Project
from pipeline_lib.reporting.spec import Failed
from pipeline_lib.reporting.tables import read_csv, read_tree

_FAILURES = "failures.csv"


def from_csv(
    project: Project, title: str, folder: str, looked_at: int | None, items: str
) -> Failed:
    """What the ``failures.csv`` of a folder lists; no such file means that nothing failed.

    Args:
        project: The project.
        title: Of the run.
        folder: Relative to the project.
        looked_at: How many items there were, ``None`` where not known.
        items: What they are.
    """
    path = project.path(f"{folder}/{_FAILURES}")
    if not path.exists():
        return Failed(title, looked_at, items)
    table = read_csv(path, text=True)
    rows = tuple(tuple(map(str, row)) for row in table.itertuples(index=False))
    return Failed(title, looked_at, items, tuple(map(str, table.columns)), rows)


def of_trained(project: Project, title: str, name: str) -> list[Failed]:
    """What a training and its evaluation left out; each counts its own videos.

    Args:
        project: The project.
        title: Of the part.
        name: Of its model folder and metrics file.
    """
    found = []
    config, metrics = f"data/models/{name}/config.json", f"metrics/{name}.json"
    for step, file in (("training", config), ("evaluation", metrics)):
        if not project.exists(file):
            continue
        tree = read_tree(project.path(file))
        splits = tree.get("data", {}) if step == "training" else tree
        counted = [s for s in splits.values() if isinstance(s, dict) and "videos" in s]
        looked_at = sum(s["videos"] + (s.get("missing") or 0) for s in counted)
        folder = f"data/models/{name}" if step == "training" else f"data/evaluation/{name}"
        found.append(from_csv(project, f"{title}, {step}", folder, looked_at, "videos"))
    return found

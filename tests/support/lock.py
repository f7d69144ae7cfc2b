"""Whether dvc.lock belongs to the code, parameters and metrics beside it; no data needed.

`dvc repro --dry --allow-missing` says so too, but exits with 0 either way, and gives up in a clone
without data at the first dependency on a part of an output.
"""

from collections.abc import Iterator
from pathlib import Path

from dvc.dependency.base import Dependency
from dvc.dependency.param import ParamsDependency
from dvc.output import Output
from dvc.repo import Repo
from dvc.stage import PipelineStage


def disagreements(folder: Path) -> list[str]:
    """What stands in dvc.lock otherwise than in the files, a line each: ``stage: file: what``.

    Args:
        folder: A project; files that only its cache or remote has are compared by their hashes.
    """
    with Repo(str(folder)) as repo:
        stages = [stage for stage in repo.index.stages if isinstance(stage, PipelineStage)]
        made = {out.def_path: out for stage in stages for out in stage.outs}
        return [f"{stage.name}: {line}" for stage in stages for line in _of_stage(stage, made)]


def _of_stage(stage: PipelineStage, made: dict[str, Output]) -> Iterator[str]:
    if not any(out.hash_info for out in stage.outs):
        yield "not in dvc.lock"
        return
    if stage.cmd_changed:
        yield "another command"
    # A frozen stage is what it was made from then, whatever became of its code.
    for dep in () if stage.frozen else stage.deps:
        yield from _of_dependency(dep, made)
    for out in stage.outs:
        if out.exists and (not out.use_cache or not stage.frozen):
            yield from _changes(out)


def _of_dependency(dep: Dependency, made: dict[str, Output]) -> Iterator[str]:
    parts = [out for path, out in made.items() if _overlap(path, dep.def_path)]
    if isinstance(dep, ParamsDependency) or all(out.exists for out in parts):
        yield from _changes(dep)
    elif dep.def_path in made and made[dep.def_path].hash_info != dep.hash_info:
        yield f"{dep.def_path}: not what its stage has written"


def _overlap(first: str, second: str) -> bool:
    """Whether two paths are the same, or one lies within the other."""
    a, b = Path(first), Path(second)
    return a == b or a in b.parents or b in a.parents


def _changes(file: Output) -> Iterator[str]:
    for name, what in file.status().items():
        # Parameters come as {file: {name: what}}.
        for part, change in what.items() if isinstance(what, dict) else [(name, what)]:
            yield f"{part}: {change}"

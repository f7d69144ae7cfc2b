"""What `clipline init` does and says."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_lib.config import Params
from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.own_data.building import Built, build_layout
from pipeline_lib.own_data.companions import with_new_paths
from pipeline_lib.own_data.findings import counted
from pipeline_lib.own_data.inspection import Asked, Inspection, inspect
from pipeline_lib.own_data.numbers import number_lines
from pipeline_lib.own_data.parameters import (
    Edit,
    class_words,
    clip_changes,
    data_changes,
    demo_keys,
    edit,
    parse_clip,
    read_tree,
)
from pipeline_lib.own_data.runnable import Target, targets
from pipeline_lib.params_file import load_params
from pipeline_lib.runtime.progress import SILENT, Progress

_KINDS = {
    "project": "the project's layout, {split}/{class}/",
    "splits": "splits and classes, or splits called otherwise",
    "classes": "one folder a class, no splits",
    "flat": "one folder; the tables say the classes",
}


@dataclass(frozen=True)
class Outcome:
    """What was found and what was done.

    Attributes:
        asked: What the user wanted.
        found: The inspection.
        targets: What can be run.
        edit: The change of the parameters.
        built: The links that were made; ``None`` where none were.
        written: Whether the parameter file was written.
        old_copy: Where its old content is, unless git has it.
        stop: Why nothing was written; empty where that is as wanted.
    """

    asked: Asked
    found: Inspection
    targets: tuple[Target, ...]
    edit: Edit
    built: Built | None
    written: bool
    old_copy: Path | None
    stop: str

    def raise_problems(self) -> None:
        """Fail where the user has something to mend.

        Raises:
            DataError: There are errors, or the layout has to be built.
        """
        if self.stop:
            raise DataError(
                f"{self.asked.folder}: {self.stop}; nothing was written.",
                hint=_remedy(self.asked, self.found),
            )

    def lines(self) -> list[str]:
        """For people."""
        found, findings = self.found, self.found.findings
        lines = [
            f"{found.source.base}: {len(found.videos)} sound videos of {len(found.source.videos)}, "
            f"{found.numbers['hours']:.2f} hours; {_KINDS[found.source.kind]}",
            *findings.lines(),
            f"{counted(findings.count('error'), 'error')}, "
            f"{counted(findings.count('warning'), 'warning')}",
            "",
            *number_lines(found.numbers),
            "",
        ]
        if self.built:
            lines.append(f"{self.asked.into}: {self.built.line()}")
            lines += [f"wrote {name}" for name in self.built.files]
        lines += self._parameter_lines()
        return [*lines, "", "Can be run:", *(f"  {target.line()}" for target in self.targets)]

    def _parameter_lines(self) -> list[str]:
        path = self.edit.path
        if self.asked.into is None and not self.found.as_it_is:
            return [f"{path}: nothing is changed before the project's layout is built"]
        if not self.edit.changes:
            return [f"{path}: fits as it is"]
        if not self.written:
            return [f"{path} would change (nothing was written):", *self.edit.diff()]
        kept = (
            f"the old one is {self.old_copy}" if self.old_copy
            else f"git has the old one: git diff {path}"
        )  # fmt: skip
        return [f"wrote {path}; {kept}", *self.edit.diff()]

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        found = self.found
        changes = {key: {"old": old, "new": new} for key, (old, new) in self.edit.changes.items()}
        return {
            "folder": str(self.asked.folder),
            "layout": found.source.kind,
            "data_root": str(self.asked.root),
            "classes": list(found.classes),
            "normal_class": found.normal,
            "numbers": found.numbers,
            "errors": found.findings.count("error"),
            "warnings": found.findings.count("warning"),
            "findings": found.findings.as_list(),
            "broken": list(found.broken),
            "splits": {video.relative: video.place for video in found.videos},
            "changes": changes,
            "written": self.written,
            "built": vars(self.built) if self.built else None,
            "targets": [{**vars(target), "ready": target.ready} for target in self.targets],
            "stop": self.stop,
        }


def set_up(params_file: Path, asked: Asked, progress: Progress = SILENT) -> Outcome:
    """Look at a folder, build the layout if asked to, and fit the parameters to it.

    Args:
        params_file: ``params.yaml``; its folder is the project.
        asked: What the user wants.
        progress: Told of the videos.

    Raises:
        ConfigError: The parameter file is missing or invalid, or an option means nothing.
        DataError: The folder holds no videos, or that of ``into`` holds something else.
    """
    params = load_params(params_file)
    if asked.clip is not None:
        parse_clip(asked.clip)
    if asked.into is not None and asked.into.resolve().is_relative_to(asked.folder.resolve()):
        raise ConfigError(
            f"--into {asked.into} lies in {asked.folder}: its links would be found as videos.",
            hint="Give a folder outside, such as data/own.",
        )
    found = inspect(asked, params, progress)
    unbuilt = not found.as_it_is and asked.into is None
    change = edit(params_file, {} if unbuilt else _wanted(params_file, asked, params, found))
    errors = found.findings.count("error")
    stop = "this is not the layout that the pipeline reads" if unbuilt else ""
    if errors and not asked.force:
        stop = f"{counted(errors, 'error')} to be mended first"
    built, old_copy, write = None, None, not (stop or asked.dry_run)
    if write and asked.into is not None:
        built = build_layout(asked.into, found.videos, found.rows, _companions(found))
    if write and change.changes:
        old_copy = change.write()
    judged = targets(stop, found.videos, found.questions, found.captions, change.params())
    written = write and bool(change.changes)
    return Outcome(asked, found, judged, change, built, written, old_copy, stop)


def _wanted(path: Path, asked: Asked, params: Params, found: Inspection) -> dict[str, Any]:
    tree = read_tree(path)
    root = _name(asked.root, path.absolute().parent)
    exclude: list[str] = []
    if asked.into is None:
        same = Path(params.data.root).resolve() == asked.folder.resolve()
        exclude = [*(params.data.exclude if same else ())]
        exclude += found.broken if asked.exclude_broken else []
    words = class_words(found.classes, params.train.class_names)
    repointed, left = demo_keys(tree, root)
    for key in left:
        found.findings.warning("demo", f"{path}: {key}", "still names the demo's data.",
                               "Point it to your own.")  # fmt: skip
    return {
        **data_changes(root, exclude, found.normal),
        **({"train.class_names": words} if words != params.train.class_names else {}),
        **repointed,
        **(clip_changes(asked.clip, tree) if asked.clip is not None else {}),
    }


def _name(root: Path, project: Path) -> str:
    """``root`` as the parameters name it: below the project relative to it, else absolute."""
    absolute = Path(os.path.abspath(root))  # noqa: PTH100  # links stay as they are
    inside = absolute.is_relative_to(project)
    return (absolute.relative_to(project) if inside else absolute).as_posix()


def _companions(found: Inspection) -> Mapping[str, Any]:
    files = [file.path for file in (found.questions, found.captions) if file and file.items]
    return {path.name: with_new_paths(path, found.names) for path in files}


def _remedy(asked: Asked, found: Inspection) -> str:
    if found.findings.count("error"):
        return "Mend them and run this again; --force goes on in spite of them."
    return f"Build it from links: clipline init {asked.folder} --into data/own"

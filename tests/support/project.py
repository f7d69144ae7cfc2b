"""Small copies of this checkout in git repositories of their own, for tests of the pipeline."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent.parent
# A few videos and epochs: every stage has something to do, and none does it for long.
SMALL: dict[str, Any] = {
    "data": {"root": "data/demo"},
    "demo_data": {
        "videos_per_class": {"train": 2, "val": 1, "test": 1},
        "seconds": 8.0,
        "motions": {"kinds": {"train": 7, "val": 3, "test": 3}, "repeats": 1, "seconds": 1.0},
    },
    "train": {
        "epochs": 3,
        "n_ctx": 2,
        "pos_neg": {"epochs": 2},
        "tempme_stop": {"epochs": 2},
        "videomamba": {"pretrain": {"epochs": 2}, "epochs": 2},
    },
    "evaluate": {"timelines": 2},
    "few_shot": {"shots": [1, 2], "seeds": [1]},
}


class Project:
    """One checkout with its own git repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def environment(self) -> dict[str, str]:
        """This Python first on the PATH, wide tables, and a name for commits."""
        return {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "COLUMNS": "400",
            "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org",
            "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.org",
        }  # fmt: skip

    def run(self, *command: str, code: int | None = 0) -> str:
        """Run a command in the project; returns stdout and stderr together."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert code is None or done.returncode == code, f"{command}:\n{done.stdout}"
        return done.stdout

    def start(self, *command: str) -> subprocess.Popen:
        """Start a command in a process group of its own, which may leave others running."""
        # Not a pipe: it stays open, and its reader waits, until the last of them has ended.
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def commit(self, message: str) -> None:
        """Commit everything that git does not ignore."""
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", message)

    def clone(self, folder: Path) -> "Project":
        """What another person gets from git: no data, no cache."""
        self.run("git", "clone", "-q", str(self.folder), str(folder))
        return Project(folder)

    def copy(self, folder: Path) -> "Project":
        """All of it again, the cache too."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder)

    def ran(self, output: str) -> list[str]:
        """The stages that DVC says it ran."""
        return re.findall(r"Running stage '([^']+)'", output)

    def json(self, path: str) -> dict:
        """A JSON file of the project."""
        return json.loads((self.folder / path).read_text())


def checkout(folder: Path, params: Mapping[str, Any] = SMALL) -> Project:
    """Copy what git tracks (or would) into a new repository.

    Args:
        folder: Where to.
        params: What to change in params.yaml.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT, text=True, capture_output=True, check=True,
    ).stdout  # fmt: skip
    for name in listed.splitlines():
        if name.startswith("tests/") or not (ROOT / name).is_file():
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    edit(folder / "params.yaml", params)
    project = Project(folder)
    project.run("git", "init", "-q")
    project.commit("small copy")
    return project


def edit(path: Path, values: Mapping[str, Any]) -> None:
    """Change values of a YAML file and leave everything else, comments too."""
    yaml = YAML()
    content = yaml.load(path)
    _update(content, values)
    yaml.dump(content, path)


def _update(content: Any, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(content.get(key), Mapping):
            _update(content[key], value)
        else:
            content[key] = value

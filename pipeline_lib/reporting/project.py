"""What the page is made from: a project's folders and settings."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pipeline_lib.config import ReportConfig
from pipeline_lib.errors import CliplineError
from pipeline_lib.reporting.problems import Problem, Problems

T = TypeVar("T")


@dataclass(frozen=True)
class Project:
    """A project as the page sees it. Paths that reach the page are relative to ``root``.

    Attributes:
        root: Folder of the project.
        videos: Folder of the videos, ``<data.root>/videos``.
        config: What to show of many.
        problems: What could not be shown so far.
    """

    root: Path
    videos: Path
    config: ReportConfig
    problems: Problems = field(default_factory=Problems)

    @property
    def metrics(self) -> Path:
        """Folder of the metrics files."""
        return self.root / "metrics"

    def path(self, relative: str) -> Path:
        """A file or folder of the project."""
        return self.root / relative

    def exists(self, relative: str) -> bool:
        """Whether a file is there, or a folder with something in it besides hidden files."""
        path = self.path(relative)
        if not path.is_dir():
            return path.exists()
        return any(not inside.name.startswith(".") for inside in path.iterdir())

    def named(self, path: Path) -> str:
        """A path as the page writes it: relative to the project, with forward slashes."""
        return path.relative_to(self.root).as_posix()

    def attempt(self, what: str, make: Callable[[], T]) -> T | None:
        """What ``make`` returns; where it fails, ``None``, and ``what`` is listed as a problem."""
        try:
            return make()
        except CliplineError as error:
            why, remedy = self._plain(error.message), self._plain(error.hint or "")
            self.problems.found.append(Problem(what, why, remedy))
            return None

    def _plain(self, words: str) -> str:
        """Words without folders of this machine: the page is the same wherever it is made."""
        for folder in (self.videos, self.root):
            if folder.is_absolute():
                words = words.replace(f"{folder}{os.sep}", "")
        return words

"""Executes the blocks of a page in a project and collects what is not as the page says."""

import logging
import os
import re
import shutil
import time
from pathlib import Path

from ruamel.yaml import YAML

from tests.docs.comparing import difference, unexpected
from tests.docs.instead import APPLIED, BEFORE, INSTEAD, OTHER_PYTHON, Instead
from tests.docs.markdown import ROOT, Block, blocks, commands
from tests.docs.shell import Result, Shell
from tests.support.project import edit

log = logging.getLogger(__name__)
# Folders that the pages name and no test may write to; each becomes one beside the project.
ELSEWHERE = ("/path/to", "/shared", "/mnt/team", "/data/clipline")
TAIL = 25
# What Python on the pages calls its own.
PRESET = 'path, caption = "some.mp4", "a red ring"'


class Page:
    """One page in a project of its own.

    Args:
        path: The Markdown file.
        folder: The project's folder; it is changed.
        warm: The socket of a running ``warm.py``.
    """

    def __init__(self, path: Path, folder: Path, warm: Path | None = None) -> None:
        self.blocks = blocks(path)
        self.name = shown(path)
        self.folder = folder
        self.shell = Shell(folder, folder.parent / "home", warm)
        self.problems: list[str] = []
        shutil.copytree(folder / "videos", self._beside("/shared") / "videos")
        self.shell.python(PRESET)

    def execute(self) -> list[str]:
        """Run every block in order; returns what is wrong, each with its place."""
        try:
            self.shell.run(BEFORE.get(self.name, "true"))
            for block in self.blocks:
                self._execute(block)
        finally:
            self.shell.close()
        return self.problems

    def _execute(self, block: Block) -> None:
        if block.language == "bash":
            self._bash(block)
        elif block.language == "python" and not _listed(block, OTHER_PYTHON):
            problem = self.shell.python(self._demo_video(block.text))
            if problem:
                self._complain(block, block.text, problem)
        elif block.language == "yaml" and _listed(block, APPLIED):
            values = YAML(typ="safe", pure=True).load(block.text)
            edit(self.folder / "params.yaml", values)

    def _bash(self, block: Block) -> None:
        results = []
        for command in commands(block):
            instead = standing_in(block.page, command)
            if instead and instead.test:
                continue
            start, spent = time.monotonic(), _spent()
            if instead and instead.before:
                self.shell.run(instead.before)
            text, code = (instead.run or command, instead.code) if instead else (command, 0)
            text = self._here(text, command)
            run = self.shell.serve if instead and instead.serves else self.shell.run
            result = run(text)
            if instead and instead.after:
                self.shell.run(instead.after)
            seconds = (time.monotonic() - start, _spent() - spent)
            log.info("%5.1f s, CPU %5.1f s  %s  %s", *seconds, block.place, text)
            if result.code != code:
                self._complain(block, text, f"exit code {result.code}, not {code}", result)
            elif instead and not re.search(instead.says, "\n".join(result.all)):
                self._complain(block, text, f"does not say {instead.says!r}", result)
            results.append(result)
        if block.expects and results:
            self._compare(block, results)

    def _here(self, text: str, command: str) -> str:
        """The command with this machine's folders; a script lies in a file."""
        text = self._demo_video(text)
        for place in ELSEWHERE:
            here = str(self._beside(place))
            text = re.sub(rf"(?<![\w/.]){re.escape(place)}(?=[/\s'\"]|$)", here, text)
        if "{script}" in text:
            script = self.folder.parent / "script.sh"
            body = re.sub(r"0-63\b", "0-1", command).replace("/64", "/2")
            script.write_text(self._here(body, command))
            text = text.replace("{script}", str(script))
        return text

    def _beside(self, place: str) -> Path:
        """The folder that stands for one outside of the project."""
        return self.folder.parent / f"outside{place.replace('/', '_')}"

    def _demo_video(self, text: str) -> str:
        """The small data set has fewer videos: another one of the same folder."""
        videos = re.compile(r"(data/demo/videos/\w+/(\w+)/)\2_\d+\.mp4")
        return videos.sub(
            lambda m: str(m[1] + min(p.name for p in (self.folder / m[1]).iterdir())), text
        )

    def _compare(self, block: Block, results: list[Result]) -> None:
        """The text may be that of the last command or of all, with or without what it logs."""
        assert block.expects
        expected = block.expects.text.splitlines()
        last, every = results[-1:], results
        # DVC leaves out what did not change, which differs from data set to data set.
        compare = unexpected if "dvc metrics diff" in commands(block)[-1] else difference
        said = None
        for group in (last, every):
            for lines in ([x.out for x in group], [x.all for x in group]):
                found = compare(expected, [line for part in lines for line in part])
                if found is None:
                    return
                said = said or found
        self._complain(block.expects, "\n".join(commands(block)), said or "", results[-1])

    def _complain(self, block: Block, what: str, why: str, result: Result | None = None) -> None:
        printed = "\n".join(f"    {line}" for line in result.all[-TAIL:]) if result else ""
        self.problems.append(f"{block.place}: {what}\n  {why}\n{printed}")


def standing_in(page: str, command: str) -> Instead | None:
    """The entry of a command in the table of what does not run as it stands."""
    for entry in INSTEAD:
        if entry.page == page and command.splitlines()[0] == entry.command.splitlines()[0]:
            return entry
    return None


def _listed(block: Block, table: tuple[tuple[str, ...], ...]) -> bool:
    return any(block.page == page and line in block.text for page, line, *_ in table)


def _spent() -> float:
    """CPU seconds of all commands until now."""
    times = os.times()
    return times.children_user + times.children_system


def shown(path: Path) -> str:
    """A page's path below the repository, for a test's name."""
    return path.relative_to(ROOT).as_posix()


def is_executed(path: Path) -> bool:
    """Whether a page has anything to run."""
    return any(block.language in ("bash", "python") for block in blocks(path))

"""The earlier version of a metrics file, from git.

Before a commit the last version differs from the file on disk; after it, and in a fresh clone, it
is equal and the one before it counts. So the baseline is the newest committed version whose content
is another one: the page is the same before and after.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MOST_VERSIONS = 50
_COMMIT_DIGITS = 10
_PATIENCE_S = 60


class _GitError(Exception):
    """Git is not there, or refuses."""


@dataclass(frozen=True)
class Earlier:
    """What a file said before.

    Attributes:
        tree: Its JSON; ``None`` where there is no earlier version to compare with.
        commit: First digits of the commit's name, or empty.
        date: Of the commit, ``2026-03-01``, or empty.
        note: Why there is none, for people; empty where there is one.
    """

    tree: dict[str, Any] | None
    commit: str = ""
    date: str = ""
    note: str = ""


def earlier_version(file: Path) -> Earlier:
    """The newest committed version of ``file`` whose content differs from the one on disk.

    Args:
        file: A JSON file; it exists.
    """
    try:
        return _search(file)
    except _GitError as error:
        return Earlier(None, note=f"no earlier version: {error}")


def _search(file: Path) -> Earlier:
    now = _lines(file.read_bytes())
    for commit, date in _versions(file):
        try:
            then = _lines(_git(file.parent, "show", f"{commit}:./{file.name}"))
        except _GitError:
            continue  # the commit that deleted it
        if then == now:
            continue
        short = commit[:_COMMIT_DIGITS]
        tree = _tree(then)
        if tree is None:
            note = f"the version of {date} ({short}) holds no readable metrics"
            return Earlier(None, short, date, note)
        return Earlier(tree, short, date)
    shallow = _git(file.parent, "rev-parse", "--is-shallow-repository").strip() == b"true"
    cut = "; this clone is shallow, older commits are not here" if shallow else ""
    return Earlier(None, note=f"no earlier version{cut}")


def _versions(file: Path) -> Iterator[tuple[str, str]]:
    """Commit and date of each change of the file, the newest first."""
    if not _git(file.parent, "rev-list", "-n", "1", "--all"):
        return
    listed = _git(
        file.parent, "log", f"-n{_MOST_VERSIONS}", "--format=%H%x09%cs", "--", file.name
    )  # fmt: skip
    for line in listed.decode().splitlines():
        commit, date = line.split("\t")
        yield commit, date


def _lines(content: bytes) -> bytes:
    """Content with line ends as git stores them, whatever a checkout made of them."""
    return content.replace(b"\r\n", b"\n")


def _tree(content: bytes) -> dict[str, Any] | None:
    try:
        tree = json.loads(content)
    except ValueError:
        return None
    return tree if isinstance(tree, dict) else None


def _git(folder: Path, *words: str) -> bytes:
    command = ["git", "--no-pager", "-c", "core.quotepath=false", *words]
    environment = {**os.environ, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, check=False,
            timeout=_PATIENCE_S,
        )  # fmt: skip
    except FileNotFoundError:
        raise _GitError("git is not installed") from None
    except subprocess.TimeoutExpired:
        raise _GitError("git does not answer") from None
    if done.returncode == 0:
        return done.stdout
    if b"not a git repository" in done.stderr:
        raise _GitError("this folder is in no git repository")
    if b"dubious ownership" in done.stderr:
        raise _GitError("git does not trust the owner of this folder (safe.directory)")
    raise _GitError("git could not read the history")

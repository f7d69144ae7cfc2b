"""The project's layout, made of links: the user's videos are neither moved nor copied."""

import csv
import errno
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_lib.annotations.folder import table_paths
from pipeline_lib.errors import DataError
from pipeline_lib.own_data.findings import counted, some
from pipeline_lib.own_data.source import SourceVideo
from pipeline_lib.own_data.tables import Entry
from pipeline_lib.paths import VIDEO_SUFFIXES, nfc
from pipeline_lib.storage.atomic import write_text
from pipeline_lib.video.files import files_below

# Another file system, one without hard links, too many of them, or a file of somebody else's.
_NO_HARD_LINK = {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP}


@dataclass(frozen=True)
class Built:
    """What was made.

    Attributes:
        hard: Hard links: other names of the same files.
        symbolic: Symbolic links, made where a hard link cannot be.
        kept: Links that were there.
        files: What was written: tables, companion files, and a ``.gitignore`` that keeps the
            videos out of git.
    """

    hard: int
    symbolic: int
    kept: int
    files: tuple[str, ...]

    def line(self) -> str:
        """For people."""
        kinds = [counted(self.hard, "hard link")] if self.hard or not self.symbolic else []
        kinds += [counted(self.symbolic, "symbolic link")] if self.symbolic else []
        kept = f", {self.kept} were there" if self.kept else ""
        return f"{' and '.join(kinds)} made{kept}; your own files stay where they are"


def build_layout(
    into: Path,
    videos: Sequence[SourceVideo],
    rows: Mapping[str, Sequence[Entry]],
    companions: Mapping[str, Any],
) -> Built:
    """Link the videos into ``<into>/videos/{split}/{class}/`` and write their tables.

    Running it again with the same plan changes nothing.

    Args:
        into: The new data root.
        videos: With split and class.
        rows: Video id to its annotated events.
        companions: File name to JSON content.

    Raises:
        DataError: ``into`` holds something else than this plan.
    """
    texts = {f"annotations/{name}": text for name, text in _tables(videos, rows).items()}
    texts |= {name: _json(content) for name, content in companions.items()}
    _refuse_others(into, videos, texts)
    texts |= _ignoring(into / ".gitignore")
    counts = {"hard": 0, "symbolic": 0, "kept": 0}
    for video in videos:
        target = into / "videos" / video.place
        target.parent.mkdir(parents=True, exist_ok=True)
        counts[_link(video.path.resolve(), target)] += 1
    for name, text in texts.items():
        write_text(into / name, text)
    return Built(**counts, files=tuple(str(into / name) for name in texts))


def _link(source: Path, target: Path) -> str:
    if target.exists() and target.samefile(source):
        return "kept"
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_HARD_LINK:
            raise
        target.symlink_to(source)
        return "symbolic"
    return "hard"


def _refuse_others(into: Path, videos: Sequence[SourceVideo], texts: Mapping[str, str]) -> None:
    wanted = {nfc(video.place): video.path for video in videos}
    root = into / "videos"
    found = files_below(root, VIDEO_SUFFIXES) if root.is_dir() else {}
    strange = [
        str(paths[0])
        for name, paths in found.items()
        if name not in wanted or not paths[0].exists() or not paths[0].samefile(wanted[name])
    ]
    tables = {str(path) for path in table_paths(into / "annotations")}
    strange += sorted(tables - {str(into / name) for name in texts})
    strange += [str(into / name) for name, text in texts.items() if _differs(into / name, text)]
    if strange:
        raise DataError(
            f"{into} holds what this run would not make: {some(sorted(strange))}.",
            hint="Another seed, other shares or edited files? Remove the folder (its videos are "
            "links) or give another one.",
        )


def _differs(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") != text


def _ignoring(path: Path) -> dict[str, str]:
    """A ``.gitignore`` that keeps the videos out of git; what else stands in it stays."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    # `dvc add` writes the second form.
    done = {"/videos/", "/videos"} & set(before.splitlines())
    gap = "" if before.endswith("\n") or not before else "\n"
    return {path.name: before if done else f"{before}{gap}/videos/\n"}


def _tables(videos: Sequence[SourceVideo], rows: Mapping[str, Sequence[Entry]]) -> dict[str, str]:
    """File name to text of one table a class; the same stem in two splits is written once."""
    lines: dict[str, dict[tuple[str, float, float], None]] = {}
    for video in sorted(videos, key=lambda video: (video.class_name, video.stem)):
        for entry in rows.get(video.id, ()):
            lines.setdefault(video.class_name, {})[(video.stem, *entry.times)] = None
    return {f"{name}_timestamp.csv": _csv(content) for name, content in lines.items()}


def _csv(rows: Mapping[tuple[str, float, float], None]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file_name", "start_time", "end_time"))
    writer.writerows((stem, f"{start:.10g}", f"{end:.10g}") for stem, start, end in rows)
    return text.getvalue()


def _json(content: Any) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

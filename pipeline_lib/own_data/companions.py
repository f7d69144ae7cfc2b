"""``qa.json`` and ``captions.json``: which of their items mean which video."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline_lib.datasets.json_lines import read_json_text
from pipeline_lib.datasets.layout import SPLITS
from pipeline_lib.datasets.questions import read_questions
from pipeline_lib.datasets.video_text.captions import read_captions
from pipeline_lib.datasets.video_text.json_files import json_elements
from pipeline_lib.datasets.video_text.source import Source as CaptionSource
from pipeline_lib.errors import DataError
from pipeline_lib.own_data.findings import Findings
from pipeline_lib.own_data.source import Source, SourceVideo
from pipeline_lib.paths import nfc

CAPTIONS = "captions.json"
_HINT = 'The file holds {"data": [{id, video_path, caption, start_s, end_s}]}.'


@dataclass(frozen=True)
class Companion:
    """A file of items, each about one video.

    Attributes:
        path: The file.
        items: How many can be used.
        splits: Of their videos, in the order of the pipeline.
    """

    path: Path
    items: int
    splits: tuple[str, ...]


class VideoNames:
    """Which video an item means by its ``video_path``.

    Args:
        source: The folder.
        videos: With split and class.
        exact: Only the path below ``videos/`` counts, as in the pipeline; otherwise a path below
            the user's folder, or a file name that one video only has, will do.
    """

    def __init__(self, source: Source, videos: Iterable[SourceVideo], exact: bool) -> None:
        self._exact = exact
        self._by_name: dict[str, SourceVideo] = {}
        self._by_file: defaultdict[str, list[SourceVideo]] = defaultdict(list)
        below = "" if source.base == source.folder else f"{source.base.name}/"
        for video in videos:
            self._by_name[video.relative] = video
            self._by_name.setdefault(below + video.relative, video)
            self._by_file[PurePosixPath(video.relative).name].append(video)

    def find(self, written: str) -> SourceVideo | None:
        """The video that an item means, if that is one."""
        name = nfc(PurePosixPath(written).as_posix())
        if self._exact or name in self._by_name:
            return self._by_name.get(name)
        same = self._by_file.get(PurePosixPath(name).name, [])
        return same[0] if len(same) == 1 else None


def check_questions(path: Path, names: VideoNames, findings: Findings) -> Companion | None:
    """Check a question file; ``None`` where there is none."""
    if not path.is_file():
        return None
    try:
        content = read_questions(path)
    except DataError as error:
        findings.refused("questions", path, error)
        return Companion(path, 0, ())
    for fault in content.faults:
        where, what = f"{path}:{fault.line}", fault.message.removeprefix(f"{path}:{fault.line}: ")
        findings.error("questions", where, f"{what}.")
    return _known(
        path, ((item.line, item.video_path) for item in content.questions), names, findings
    )


def check_captions(
    path: Path, names: VideoNames, exact: bool, findings: Findings
) -> Companion | None:
    """Check a caption file; ``None`` where there is none.

    Args:
        path: The file.
        names: The videos.
        exact: It is read as it is, so every item has to tell its split.
        findings: Gets what is wrong with it.
    """
    if not path.is_file():
        return None
    try:
        if exact:
            for split in SPLITS:
                read_captions(CaptionSource(path), split)
        listed = list(json_elements(path, "caption file", _HINT, "data"))
    except DataError as error:
        findings.refused("captions", path, error)
        return Companion(path, 0, ())
    named = []
    for line, item in listed:
        value = item.get("video_path") if isinstance(item, Mapping) else None
        if isinstance(value, str) and value.strip():
            named.append((line, value))
        else:
            findings.error("captions", f"{path}:{line}", "names no video_path.", _HINT)
    return _known(path, named, names, findings)


def _known(
    path: Path, items: Iterable[tuple[int, str]], names: VideoNames, findings: Findings
) -> Companion:
    splits = set()
    known = 0
    for line, written in items:
        video = names.find(written)
        if video is None:
            what = f"video_path {written!r} is no video that can be used."
            hint = "It is relative to the folder of the videos."
            findings.error("no_video", f"{path}:{line}", what, hint)
        else:
            known += 1
            splits.add(video.split)
    return Companion(path, known, tuple(split for split in SPLITS if split in splits))


def with_new_paths(path: Path, names: VideoNames) -> Any:
    """The content of a companion file whose items name the videos of the built layout.

    Args:
        path: A file with at least one item that can be used; the others stay as they are.
        names: The videos.
    """
    content = json.loads(read_json_text(path, "file", ""))
    items = content["data"] if isinstance(content, dict) else content
    for item in items:
        written = item.get("video_path") if isinstance(item, dict) else None
        video = names.find(written) if isinstance(written, str) else None
        if video is not None:
            item["video_path"] = video.place
    return content

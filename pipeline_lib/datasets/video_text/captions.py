"""Own videos with captions: ``captions.json``.

``{"data": [{id, video_path, caption, start_s, end_s, split}]}``, or the list alone. Only
``video_path`` and ``caption`` have to be there; other keys are left alone. Items of one
``video_path`` (with the same ``start_s`` and ``end_s``, where given) are captions of one video.
"""

import logging
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline_lib.datasets.json_lines import JsonObject
from pipeline_lib.datasets.layout import SPLITS
from pipeline_lib.datasets.question_fields import encodable, shown
from pipeline_lib.datasets.video_lists.faults import Fault, refuse_faults
from pipeline_lib.datasets.video_text.json_files import json_elements
from pipeline_lib.datasets.video_text.source import Listed, Source
from pipeline_lib.paths import nfc, path_fault

_LOG = logging.getLogger(__name__)
_LISTED = 3
_SHAPE = '{"data": [{id, video_path, caption, start_s, end_s}]}'
_HINT = f"The file holds {_SHAPE}, times in seconds; id and the times may be left out."
_Place = tuple[str, float, float | None]


@dataclass(frozen=True)
class _Item:
    line: int
    id: str
    place: _Place
    split: str
    caption: str


def read_captions(source: Source, split: str) -> tuple[Listed, ...]:
    """The videos of a split, each with its captions in the order of the file.

    The split of an item is the first folder of its ``video_path``, else its field ``split``. The
    id of a video is that of its first item; without one it is the path and the times.

    Raises:
        DataError: The file cannot be read, or items cannot be used: a field is missing or of a
            wrong type, a path leads out of the videos, nothing says the split, or one id stands
            for two videos.
    """
    items: list[_Item] = []
    faults: list[Fault] = []
    for line, value in json_elements(source.path, "caption file", _HINT, key="data"):
        item = _item(line, value)
        (items if isinstance(item, _Item) else faults).append(item)  # type: ignore[arg-type]
    videos = _videos(items, faults)
    refuse_faults(source.path, faults, _HINT)
    if split != "val":
        _warn_of_leaks(source.path, videos)
    return tuple(video for video, its_split in videos if its_split == split)


def _warn_of_leaks(path: Path, videos: Iterable[tuple[Listed, str]]) -> None:
    splits: defaultdict[str, set[str]] = defaultdict(set)
    for video, split in videos:
        splits[video.file].add(split)
    shared = sorted(file for file, found in splits.items() if len(found) > 1)
    if shared:
        more = f" and {len(shared) - _LISTED} more" if len(shared) > _LISTED else ""
        _LOG.warning(
            "%s: %d videos have segments in more than one split, so what is measured leaks from "
            "training: %s%s", path, len(shared), ", ".join(shared[:_LISTED]), more,
        )  # fmt: skip


def _videos(items: list[_Item], faults: list[Fault]) -> list[tuple[Listed, str]]:
    by_place: dict[_Place, list[_Item]] = {}
    owners: dict[str, _Item] = {}
    for item in items:
        first = by_place.setdefault(item.place, []) or [item]
        by_place[item.place].append(item)
        if item.split != first[0].split:
            says = f"split {item.split!r}, but {first[0].split!r} on line {first[0].line}"
            faults.append(Fault(item.line, f"{says}, which is of the same video"))
        owner = owners.setdefault(item.id, item)
        if owner.place != item.place:
            says = f"id {shown(item.id)} is that of another video or segment on line {owner.line}"
            faults.append(Fault(item.line, says))
    return [(_listed(place, of_place), of_place[0].split) for place, of_place in by_place.items()]


def _listed(place: _Place, items: list[_Item]) -> Listed:
    path, start_s, end_s = place
    texts = tuple(item.caption for item in items)
    return Listed(items[0].id, texts, items[0].line, file=path, start_s=start_s, end_s=end_s)


def _item(line: int, value: Any) -> _Item | Fault:
    if not isinstance(value, JsonObject):
        return Fault(line, f"{shown(value)} is not an object")
    if value.repeated:
        return Fault(line, f"{shown(value.repeated[0])} stands in it more than once")
    says = _text_fault(value, "video_path") or _text_fault(value, "caption")
    if says:
        return Fault(line, says)
    path = nfc(PurePosixPath(value["video_path"]).as_posix())
    fault = path_fault(value["video_path"])
    if fault:
        return Fault(line, f"video_path = {shown(path)} is not below the videos: {fault}")
    start_s, end_s = value.get("start_s"), value.get("end_s")
    says = _times_fault(start_s, end_s)
    split = _split(path, value.get("split"))
    if says or split is None:
        known = ", ".join(f"{name}/" for name in SPLITS)
        unknown = f"video_path {shown(path)} is in none of {known} and no field 'split' names one"
        return Fault(line, says or unknown)
    place = (path, float(start_s or 0.0), None if end_s is None else float(end_s))
    name = value.get("id")
    if name is not None and (isinstance(name, bool) or not isinstance(name, str | int)):
        return Fault(line, f"id = {shown(name)} is not a text or a whole number")
    return _Item(line, nfc(str(name or "")) or _name(place), place, split, value["caption"].strip())


def _split(path: str, field: Any) -> str | None:
    first = path.split("/", 1)[0]
    return next((split for split in (first, field) if split in SPLITS), None)


def _name(place: _Place) -> str:
    path, start_s, end_s = place
    name = path.rsplit(".", 1)[0]
    if not start_s and end_s is None:
        return name
    return f"{name}@{start_s:g}-{'end' if end_s is None else format(end_s, 'g')}"


def _text_fault(item: JsonObject, name: str) -> str | None:
    if name not in item:
        return f"{name} is missing"
    value = item[name]
    if not isinstance(value, str) or not encodable(value):
        return f"{name} = {shown(value)} is not a text"
    return None if value.strip() else f"{name} is empty"


def _times_fault(start_s: Any, end_s: Any) -> str | None:
    for name, value in (("start_s", start_s), ("end_s", end_s)):
        if value is None:
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            return f"{name} = {shown(value)} is not a number of seconds"
        if value < 0:
            return f"{name} = {shown(value)} is before the first frame"
    if end_s is not None and end_s <= (start_s or 0.0):
        return f"end_s = {shown(end_s)} is not after start_s = {shown(start_s or 0.0)}"
    return None

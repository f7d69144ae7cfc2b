"""One split of a data set of videos with a class or a value each."""

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline_lib.config import VideoListConfig
from pipeline_lib.datasets.layout import SPLITS
from pipeline_lib.datasets.video_clips.entries import Entries, Entry
from pipeline_lib.datasets.video_clips.files import ListedFiles
from pipeline_lib.datasets.video_clips.folders import read_folders
from pipeline_lib.datasets.video_clips.items import ClipItem, ClipList
from pipeline_lib.datasets.video_clips.labels import (
    Classes,
    named_classes,
    numbered_classes,
    values_of,
)
from pipeline_lib.datasets.video_clips.lvu import read_lvu
from pipeline_lib.datasets.video_clips.plain_lists import read_frame_list, read_video_list
from pipeline_lib.datasets.video_lists.faults import Fault, refuse_faults
from pipeline_lib.datasets.video_lists.missing import MissingVideo
from pipeline_lib.errors import ConfigError, DataError, VideoError, did_you_mean
from pipeline_lib.paths import nfc
from pipeline_lib.runtime.lanes import cores
from pipeline_lib.video.clip_sampling import trimmed_windows
from pipeline_lib.video.sampling import video_length_s

_LOG = logging.getLogger(__name__)
_LISTED = 3
_FORMATS: dict[str, Callable[[VideoListConfig, Path, str], Entries | None]] = {
    "folders": read_folders,
    "videos": read_video_list,
    "frames": read_frame_list,
    "lvu": read_lvu,
}
Task = Literal["classification", "regression"]


class NoClipsError(DataError):
    """A split that has no list, or a list that names no video."""


def read_clip_list(
    config: VideoListConfig,
    data_root: Path,
    split: str,
    task: Task,
    exclude: Sequence[str] = (),
) -> ClipList:
    """Read one split of a data set.

    Args:
        config: The format, its lists and videos, and whether long videos are cut into windows.
        data_root: Folder that paths of ``config`` fall back to.
        split: ``train``, ``val`` or ``test``.
        task: Whether videos have a class or a value.
        exclude: Paths below the videos that are left out.

    Returns:
        Its videos or their windows. Videos without a file are listed, and a warning counts them.

    Raises:
        ConfigError: Settings do not fit one another.
        NoClipsError: The split has no videos.
        DataError: A list cannot be used, a class is not in ``train``, or no video has a file.
    """
    if split not in SPLITS:
        raise DataError(f"No split {split!r}.", hint=did_you_mean(split, SPLITS))
    _check(config, task)
    videos = Path(config.videos) if config.videos else data_root / "videos"
    lists = Path(config.lists) if config.lists else data_root
    folder = videos if config.format == "folders" else lists
    entries = _FORMATS[config.format](config, folder, split)
    if entries is None or not entries.videos:
        raise NoClipsError(
            f"{folder}: no videos in {split} (dataset.format {config.format!r})."
            if entries is not None
            else f"{folder}: no {split if config.format == 'folders' else f'{split}.csv'}.",
            hint="See dataset.lists and dataset.videos in params.yaml.",
        )
    labels: Sequence[int | float]
    if task == "classification":
        classes = _classes(config, folder, split, entries)
        labels, names = classes.of(entries), classes.names
    else:
        labels, names = values_of(entries, config.target), None
    found = _held_against_files(config, videos, entries, labels, frozenset(map(nfc, exclude)))
    items, missing = _items(found.videos, config)
    missing = [*found.missing, *missing]
    if not items and not missing:
        raise NoClipsError(f"{entries.source}: all videos are in data.exclude.")
    _report(missing, len(entries.videos), entries.source, some_left=bool(items))
    return ClipList(tuple(items), names, tuple(missing))


def _check(config: VideoListConfig, task: Task) -> None:
    if task == "regression" and config.format == "folders":
        raise ConfigError("dataset.format = 'folders' has classes, but task is 'regression'.")
    if task == "classification" and config.target != "none":
        raise ConfigError(f"dataset.target = {config.target!r}, but task is 'classification'.")
    if config.class_names and (task == "regression" or config.format == "folders"):
        raise ConfigError("dataset.class_names is for lists whose classes are numbers.")
    if config.lists and config.format == "folders":
        raise ConfigError("dataset.lists is of formats with lists, not 'folders'.")
    if config.column and config.format != "lvu":
        raise ConfigError(f"dataset.column is of format 'lvu', not {config.format!r}.")
    if config.trimmed_s is not None and config.format == "frames":
        raise ConfigError("dataset.trimmed_s: pictures have no seconds to cut windows by.")


def _classes(config: VideoListConfig, folder: Path, split: str, entries: Entries) -> Classes:
    read = _FORMATS[config.format]
    train = entries if split == "train" else read(config, folder, "train")
    if train is not None and train.videos:
        deciding = [train]
    else:
        # What was trained elsewhere can be measured here.
        others = (entries if name == split else read(config, folder, name) for name in SPLITS)
        deciding = [other for other in others if other is not None]
    numbered = (
        numbered_classes(deciding, config.class_names) if config.format != "folders" else None
    )
    if config.class_names and numbered is None:
        raise ConfigError(
            f"dataset.class_names is for lists whose classes are numbers; {deciding[0].source} "
            "has names."
        )
    return numbered or named_classes(deciding)


@dataclass(frozen=True)
class _Video:
    """A video of the list with its file."""

    id: str
    path: Path
    entry: Entry
    label: int | float


@dataclass(frozen=True)
class _Found:
    videos: list[_Video]
    missing: list[MissingVideo]


def _held_against_files(
    config: VideoListConfig,
    root: Path,
    entries: Entries,
    labels: Sequence[int | float],
    exclude: frozenset[str],
) -> _Found:
    files = ListedFiles(root, config)
    videos: dict[str, _Video] = {}
    missing, faults, repeated = [], [], []
    for entry, label in zip(entries.videos, labels, strict=True):
        if nfc(entry.name) in exclude:
            continue
        path = files.find(entry)
        if isinstance(path, str):
            missing.append(MissingVideo(nfc(entry.name), str(root / entry.name), path, entry.line))
            continue
        video = nfc(path.relative_to(root).as_posix())
        if video in exclude:
            continue
        first = videos.setdefault(video, _Video(video, path, entry, label))
        if first.entry is entry:
            continue
        repeated.append(f"{video} on lines {first.entry.line} and {entry.line}")
        if first.label != label:
            says = f"{video} has another label than on line {first.entry.line}"
            faults.append(Fault(entry.line or 0, says))
    refuse_faults(entries.source, faults)
    if repeated:
        more = f" and {len(repeated) - _LISTED} more" if len(repeated) > _LISTED else ""
        some = ", ".join(repeated[:_LISTED])
        _LOG.warning("%s: videos stand more than once: %s%s", entries.source, some, more)
    return _Found(list(videos.values()), missing)


def _items(
    videos: Iterable[_Video], config: VideoListConfig
) -> tuple[list[ClipItem], list[MissingVideo]]:
    """Whole videos, or their windows."""
    if config.trimmed_s is None:
        return [_item(video) for video in videos], []
    items: list[ClipItem] = []
    missing: list[MissingVideo] = []
    ordered = list(videos)
    with ThreadPoolExecutor(cores(), "video") as pool:
        lengths = list(pool.map(_length_s, ordered))
    for video, length in zip(ordered, lengths, strict=True):
        if isinstance(length, VideoError):
            missing.append(
                MissingVideo(video.id, str(video.path), length.message, video.entry.line)
            )
            continue
        for start_s, end_s in trimmed_windows(length, config.trimmed_s, config.time_stride_s):
            items.append(_item(video, start_s, end_s))
    return items, missing


def _length_s(video: _Video) -> float | VideoError:
    if video.entry.duration_s is not None:
        return video.entry.duration_s
    try:
        return video_length_s(video.path)
    except VideoError as error:
        return error


def _item(video: _Video, start_s: float = 0.0, end_s: float | None = None) -> ClipItem:
    name = video.id if end_s is None else f"{video.id}@{start_s:.12g}-{end_s:.12g}"
    frames = video.entry.frames
    return ClipItem(name, video.id, video.path, video.label, start_s, end_s, frames)


def _report(missing: Sequence[MissingVideo], listed: int, source: Path, *, some_left: bool) -> None:
    if not missing:
        return
    some = "; ".join(f"{video.id}: {video.reason}" for video in missing[:_LISTED])
    more = f"; and {len(missing) - _LISTED} more" if len(missing) > _LISTED else ""
    if not some_left:
        raise DataError(
            f"{source}: none of its {listed} videos can be used ({some}{more}).",
            hint="Set dataset.videos to the folder that the paths of the list begin in.",
        )
    _LOG.warning("%s: %d of %d videos are left out: %s%s", source, len(missing), listed, some, more)

"""One split of a data set of videos with captions: its lists, held against the video files."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline_lib.config import VideoTextConfig
from pipeline_lib.datasets.layout import SPLITS
from pipeline_lib.datasets.video_lists.missing import MissingVideo
from pipeline_lib.datasets.video_lists.video_names import VideoNames
from pipeline_lib.datasets.video_text import VIDEO_TEXT
from pipeline_lib.datasets.video_text.items import VideoItem, VideoText
from pipeline_lib.datasets.video_text.source import Listed, Source
from pipeline_lib.errors import ConfigError, DataError, did_you_mean
from pipeline_lib.runtime.seeding import numpy_stream

_LOG = logging.getLogger(__name__)
_WITH_VARIANTS = frozenset({"msrvtt"})
_LISTED = 3
# A share is a decimal fraction: 0.29 of 100 videos is 28.999999999999996.
_ROUNDING = 1e-9


class NoVideosError(DataError):
    """A split that no list names a video of."""


def read_video_text(config: VideoTextConfig, data_root: Path, split: str) -> VideoText:
    """Read one split of a data set.

    Where the data set has no validation list, ``val`` is ``val_ratio`` of the training videos:
    whole files, in an order that depends on their names alone, so that every model of a data set
    is chosen on the same ones.

    Args:
        config: The format, its files, and the share of ``val``.
        data_root: Folder that paths of ``config`` fall back to.
        split: ``train``, ``val`` or ``test``.

    Returns:
        Videos and texts; videos without a file are listed, and a warning counts them.

    Raises:
        ConfigError: There is no such format, or no such variant of it.
        NoVideosError: The split has no videos.
        DataError: A file is missing or cannot be used, or no video of the split has a file.
    """
    if split not in SPLITS:
        raise DataError(f"No split {split!r}.", hint=did_you_mean(split, SPLITS))
    source = _source(config, data_root)
    listed = _listed(config, source, split)
    if not listed:
        raise NoVideosError(
            f"{source.path}: no videos in {split} (format {config.kind!r}).",
            hint="Raise dataset.val_ratio." if split == "val" else None,
        )
    videos = Path(config.videos) if config.videos else data_root / "videos"
    return _held_against_files(listed, VideoNames(videos), split)


def _source(config: VideoTextConfig, data_root: Path) -> Source:
    if config.variant is not None and config.kind not in _WITH_VARIANTS:
        raise ConfigError(
            f"dataset.variant = {config.variant!r}, but {config.kind!r} has one training list."
        )
    if config.annotations is not None:
        path = Path(config.annotations)
    elif config.kind == "captions":
        path = data_root / "captions.json"
    else:
        path = data_root
    return Source(path, config.variant)


def _listed(config: VideoTextConfig, source: Source, split: str) -> Sequence[Listed]:
    read = VIDEO_TEXT.get(config.kind)
    if split == "test":
        return read(source, "test")
    val = read(source, "val")
    if split == "val" and val:
        return val
    train = read(source, "train")
    if val:
        return train
    drawn = _drawn(train, config.val_ratio)
    return [video for video in train if (_file(video) in drawn) == (split == "val")]


def _drawn(train: Sequence[Listed], ratio: float) -> set[str]:
    files = sorted(set(map(_file, train)))
    order = numpy_stream("video_text val").permutation(len(files))
    return {files[number] for number in order[: int(len(files) * ratio + _ROUNDING)]}


def _file(video: Listed) -> str:
    """What segments of one video share."""
    return video.file or video.id


def _held_against_files(listed: Sequence[Listed], files: VideoNames, split: str) -> VideoText:
    videos: list[VideoItem] = []
    texts: list[str] = []
    owners: list[int] = []
    missing: list[MissingVideo] = []
    for video in listed:
        found = (
            files.at(video.file) if video.file else files.named(video.name or video.id, video.id)
        )
        fault = found if isinstance(found, str) else "" if video.texts else "it has no captions"
        if isinstance(found, str) or fault:
            looked_for = str(files.root / _file(video)) if isinstance(found, str) else str(found)
            missing.append(MissingVideo(video.id, looked_for, fault, video.line))
            continue
        owners += [len(videos)] * len(video.texts)
        texts += video.texts
        videos.append(VideoItem(video.id, found, video.start_s, video.end_s, video.at_most_s))
    _report(missing, len(listed), files.root, split)
    return VideoText(tuple(videos), tuple(texts), np.array(owners, np.int64), tuple(missing))


def _report(missing: Sequence[MissingVideo], listed: int, root: Path, split: str) -> None:
    if not missing:
        return
    some = "; ".join(f"{video.id}: {video.reason}" for video in missing[:_LISTED])
    more = f"; and {len(missing) - _LISTED} more" if len(missing) > _LISTED else ""
    if len(missing) == listed:
        raise DataError(
            f"{root}: none of the {listed} videos in {split} can be used ({some}{more}).",
            hint="Set dataset.videos to the folder of the video files.",
        )
    _LOG.warning("%s: %d of %d videos are left out: %s%s", split, len(missing), listed, some, more)

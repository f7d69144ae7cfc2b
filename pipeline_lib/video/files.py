"""Finding video files in folders, and the ids their features are stored under."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline_lib.errors import DataError, did_you_mean
from pipeline_lib.paths import VIDEO_SUFFIXES, nfc


@dataclass(frozen=True)
class VideoFile:
    """One video to work on.

    Attributes:
        id: Path below the root without suffix, forward slashes, NFC; names its features.
        path: The file.
    """

    id: str
    path: Path


@dataclass(frozen=True)
class FoundVideos:
    """What a folder holds.

    Attributes:
        videos: Sorted by id.
        ambiguous: Files that would share one id (``a.mp4`` beside ``a.mkv``), sorted by id.
    """

    videos: tuple[VideoFile, ...]
    ambiguous: tuple[VideoFile, ...]


def find_videos(root: Path, exclude: Iterable[str] = ()) -> FoundVideos:
    """All videos below ``root``, by suffix; hidden files and folders are ignored.

    Args:
        root: A folder, or one video file.
        exclude: Paths relative to ``root`` that are left out.

    Raises:
        DataError: ``root`` does not exist, an excluded path names no video, or none is found.
    """
    if root.is_file():
        return FoundVideos((VideoFile(nfc(root.stem), root),), ())
    if not root.is_dir():
        raise DataError(f"{root}: no such folder or video file.")
    by_relative = {
        nfc(path.relative_to(root).as_posix()): path
        for path in root.rglob("*")
        if path.suffix.lower() in VIDEO_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    }
    for name in map(nfc, exclude):
        if by_relative.pop(name, None) is None:
            raise DataError(
                f"data.exclude names {name!r}, which is no video below {root}.",
                hint=did_you_mean(name, by_relative) if by_relative else None,
            )
    if not by_relative:
        raise DataError(
            f"{root}: holds no videos.", hint=f"Known suffixes: {' '.join(sorted(VIDEO_SUFFIXES))}."
        )
    by_id: dict[str, list[VideoFile]] = defaultdict(list)
    for relative, path in by_relative.items():
        video_id = relative[: -len(path.suffix)]
        by_id[video_id].append(VideoFile(video_id, path))
    single = [files[0] for files in by_id.values() if len(files) == 1]
    several = [file for files in by_id.values() if len(files) > 1 for file in files]
    return FoundVideos(
        tuple(sorted(single, key=lambda video: video.id)),
        tuple(sorted(several, key=lambda video: (video.id, str(video.path)))),
    )

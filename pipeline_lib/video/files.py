"""Finding video files in folders, and the ids their features are stored under."""

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline_lib.errors import DataError, did_you_mean
from pipeline_lib.paths import VIDEO_SUFFIXES, nfc, under


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
    by_relative = files_below(root, VIDEO_SUFFIXES)
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
    return by_id(by_relative)


def files_below(root: Path, suffixes: Collection[str]) -> dict[str, list[Path]]:
    """Files by their path relative to ``root``, in NFC; two spellings of one name share a key.

    Hidden files and folders are ignored; linked folders are followed, each once.

    Args:
        root: A folder.
        suffixes: Wanted suffixes in lower case, with their dot.
    """
    found: dict[str, list[Path]] = defaultdict(list)
    for relative, path in _walk(root, suffixes):
        found[nfc(relative)].append(path)
    return dict(found)


def file_named(root: Path, files: Mapping[str, Sequence[Path]], name: str) -> Path:
    """The file that a data file calls ``name``, in whatever Unicode form the file system has it.

    Args:
        root: The folder that ``name`` is relative to.
        files: Those below it, as :func:`files_below` returns them.
        name: With forward slashes.

    Returns:
        Its path; there may be no such file.

    Raises:
        DataError: ``name`` leads out of the folder.
    """
    found = files.get(nfc(PurePosixPath(name).as_posix()))
    return found[0] if found else under(root, name)


def by_id(by_relative: Mapping[str, Sequence[Path]]) -> FoundVideos:
    """Name files by their path without suffix; those that would share an id are told apart.

    Args:
        by_relative: As :func:`files_below` returns it.
    """
    sharing: dict[str, list[VideoFile]] = defaultdict(list)
    for relative, paths in by_relative.items():
        video_id = relative.rsplit(".", 1)[0]
        sharing[video_id] += [VideoFile(video_id, path) for path in paths]
    single = [files[0] for files in sharing.values() if len(files) == 1]
    several = [file for files in sharing.values() if len(files) > 1 for file in files]
    return FoundVideos(
        tuple(sorted(single, key=lambda video: video.id)),
        tuple(sorted(several, key=lambda video: (video.id, str(video.path)))),
    )


def _walk(root: Path, suffixes: Collection[str]) -> Iterator[tuple[str, Path]]:
    """Relative name and path of whatever is named as wanted, folders and dead links included.

    Those are no such files, but leaving them out in silence would hide a mistake.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [("", str(root))]
    while waiting:
        prefix, folder = waiting.pop()
        info = os.stat(folder)  # noqa: PTH116  # 100,000 files: strings, not Path objects
        if (info.st_dev, info.st_ino) in seen:
            continue
        seen.add((info.st_dev, info.st_ino))
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                is_folder = entry.is_dir()
                if is_folder:
                    waiting.append((f"{prefix}{entry.name}/", entry.path))
                wanted = os.path.splitext(entry.name)[1].lower() in suffixes  # noqa: PTH122
                if wanted and not (is_folder and _holds_any(entry.path)):
                    yield prefix + entry.name, Path(entry.path)


def _holds_any(folder: str) -> bool:
    with os.scandir(folder) as entries:
        return any(True for _ in entries)

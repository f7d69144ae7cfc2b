"""What a run has to do: which videos are new or changed, which features are no longer wanted."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline_lib.errors import DataError
from pipeline_lib.extraction.shards import FOLDER
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.atomic import TEMPORARY_SUFFIX, temporary_prefix
from pipeline_lib.storage.features import (
    MANIFEST,
    SUFFIXES,
    VideoEntry,
    entry_of,
    read_manifest,
    read_meta,
    remove_features,
)
from pipeline_lib.storage.hash_cache import HashCache
from pipeline_lib.video.files import VideoFile

FAILURES = "failures.csv"
Sizes = Mapping[str, int]


@dataclass(frozen=True)
class Plan:
    """What to do for one output.

    Attributes:
        todo: Ids of videos without features that are whole, of this fingerprint and of the
            video's bytes.
        done: Video id to its manifest entry, for the others.
    """

    todo: frozenset[str]
    done: dict[str, VideoEntry]


def make_plan(
    directory: Path,
    sizes: Sizes,
    videos: Sequence[VideoFile],
    fingerprint: str,
    hashes: HashCache,
    progress: Progress = SILENT,
) -> Plan:
    """Compare the wanted videos with the files of ``directory``, whose ``sizes`` were scanned.

    The files are the truth, not the manifest. What the manifest describes is only looked at for
    its size; what it does not know, after a kill, is opened. A video is read only where it has
    features and its hash is not known: a new one is hashed while it is decoded.
    """
    known = _known(directory, fingerprint) if sizes else {}
    todo, done = set(), {}
    with progress.task("checking videos", len(videos)) as advance:
        for video in videos:
            entry = _standing(directory, video.id, fingerprint, known, sizes)
            if entry is not None and _digest(video.path, hashes) == entry.sha256:
                done[video.id] = entry
            else:
                todo.add(video.id)
            advance()
    return Plan(frozenset(todo), done)


def scan(directory: Path) -> dict[str, int]:
    """Sizes of all files below ``directory`` by relative path with forward slashes."""
    sizes: dict[str, int] = {}
    waiting = [("", str(directory))] if directory.is_dir() else []
    while waiting:
        prefix, folder = waiting.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((f"{prefix}{entry.name}/", entry.path))
                else:
                    sizes[prefix + entry.name] = entry.stat().st_size
    return sizes


def prune(directory: Path, sizes: Sizes, wanted: Iterable[str]) -> list[str]:
    """Remove every file that is not of a wanted video; the directory belongs to this stage.

    Returns:
        The ids that were removed, sorted.
    """
    keep = {MANIFEST, FAILURES}
    keep.update(f"{video_id}{suffix}" for video_id in wanted for suffix in SUFFIXES)
    stale = set()
    for relative in sorted(sizes.keys() - keep):
        stem, suffix = os.path.splitext(relative)  # noqa: PTH122  # an id keeps its dots
        name = relative.rsplit("/", 1)[-1]
        if relative.startswith(f"{FOLDER}/"):
            continue
        if suffix in SUFFIXES and not name.startswith("."):
            stale.add(stem)
        else:
            # A temporary file of a killed run.
            (directory / relative).unlink(missing_ok=True)
    for video_id in stale:
        remove_features(directory, video_id)
    return sorted(stale)


def remove_leftovers(directory: Path, sizes: Sizes, files: Iterable[str]) -> None:
    """Remove what killed runs left of ``files``, which nobody else writes now.

    Args:
        directory: The features directory.
        sizes: Its files.
        files: Relative paths with forward slashes.
    """
    left = [path for path in sizes if TEMPORARY_SUFFIX in path.rsplit("/", 1)[-1]]
    if not left:
        return
    ours = set()
    for file in files:
        folder, slash, name = file.rpartition("/")
        ours.add(f"{folder}{slash}{temporary_prefix(name)}")
    for path in left:
        folder, slash, name = path.rpartition("/")
        if f"{folder}{slash}{name.partition('-')[0]}-" in ours:
            (directory / path).unlink(missing_ok=True)


def others(
    directory: Path, sizes: Sizes, videos: Sequence[VideoFile], fingerprint: str
) -> dict[str, VideoEntry]:
    """Manifest entries of videos outside this run, when features are added to a directory.

    Raises:
        DataError: The directory holds other videos' features made in another way; one manifest
            cannot describe both.
    """
    if not (directory / MANIFEST).exists():
        return {}
    manifest = read_manifest(directory)
    ids = {video.id for video in videos}
    rest = {key: entry for key, entry in manifest.videos.items() if key not in ids}
    if rest and manifest.fingerprint != fingerprint:
        raise DataError(
            f"{directory} holds features of {len(rest)} other videos, made with other settings "
            f"or weights ({manifest.weights_id}).",
            hint="Choose another --out, or delete that directory.",
        )
    return {key: entry for key, entry in rest.items() if _whole(key, entry, sizes)}


def _known(directory: Path, fingerprint: str) -> Mapping[str, VideoEntry]:
    """What the manifest says, where it speaks of these settings."""
    try:
        manifest = read_manifest(directory)
    except DataError:
        return {}
    return manifest.videos if manifest.fingerprint == fingerprint else {}


def _standing(
    directory: Path,
    video_id: str,
    fingerprint: str,
    known: Mapping[str, VideoEntry],
    sizes: Sizes,
) -> VideoEntry | None:
    """The entry of features that are whole and of this fingerprint."""
    if f"{video_id}.json" not in sizes:
        return None
    entry = known.get(video_id)
    if entry is not None and _whole(video_id, entry, sizes):
        return entry
    meta = read_meta(directory, video_id)
    if meta is None or meta["fingerprint"] != fingerprint:
        return None
    return entry_of(directory, video_id, meta)


def _whole(video_id: str, entry: VideoEntry, sizes: Sizes) -> bool:
    return bool(entry.bytes) and all(
        sizes.get(f"{video_id}{suffix}") == size for suffix, size in entry.bytes.items()
    )


def _digest(path: Path, hashes: HashCache) -> str | None:
    """The hash of a video; ``None`` where it cannot be read, which decoding then reports."""
    try:
        return hashes.sha256(path)
    except OSError:
        return None

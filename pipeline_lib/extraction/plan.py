"""What a run has to do: which videos are new or changed, which features are no longer wanted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline_lib.errors import DataError
from pipeline_lib.fingerprint import sha256_file
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.features import (
    MANIFEST,
    VideoEntry,
    feature_path,
    read_manifest,
    read_meta,
    remove_features,
)
from pipeline_lib.video.files import VideoFile

FAILURES = "failures.csv"
_SUFFIXES = (".npy", ".npz", ".json")


@dataclass(frozen=True)
class Task:
    """One video to extract: the file and the SHA-256 of its bytes."""

    video: VideoFile
    sha256: str


@dataclass(frozen=True)
class Plan:
    """What to do.

    Attributes:
        todo: Videos without features that are whole, of this fingerprint and of these bytes.
        done: Video id to its manifest entry, for the others.
        unreadable: Files whose bytes could not even be read, with the reason.
    """

    todo: tuple[Task, ...]
    done: dict[str, VideoEntry]
    unreadable: dict[str, str]


def make_plan(
    directory: Path,
    videos: Sequence[VideoFile],
    fingerprint: str,
    progress: Progress = SILENT,
) -> Plan:
    """Compare the wanted videos with what stands in ``directory``.

    The files themselves are the truth, not the manifest: after a kill they are found again and
    only the video in work is redone.
    """
    todo, done, unreadable = [], {}, {}
    with progress.task("checking videos", len(videos)) as advance:
        for video in videos:
            try:
                digest = sha256_file(video.path)
            except OSError as error:
                unreadable[video.id] = error.strerror or str(error)
            else:
                meta = read_meta(directory, video.id)
                if meta and (meta["fingerprint"], meta["source_sha256"]) == (fingerprint, digest):
                    done[video.id] = entry_of(meta)
                else:
                    todo.append(Task(video, digest))
            advance()
    return Plan(tuple(todo), done, unreadable)


def entry_of(meta: dict[str, object]) -> VideoEntry:
    """The manifest entry that a video's meta implies."""
    return VideoEntry(
        sha256=str(meta["source_sha256"]),
        rows=int(str(meta["rows"])),
        clips=int(str(meta["clips"])),
        duration_s=float(str(meta["duration_s"])),
        decode_errors=int(str(meta["decode_errors"])),
    )


def prune(directory: Path, wanted: Iterable[str]) -> list[str]:
    """Remove every feature that is not of a wanted video; the directory belongs to this stage.

    Returns:
        The ids that were removed, sorted.
    """
    keep = {MANIFEST, FAILURES}
    keep.update(f"{video_id}{suffix}" for video_id in wanted for suffix in _SUFFIXES)
    stale = set()
    for path in sorted(directory.rglob("*")):
        relative = path.relative_to(directory).as_posix()
        if path.is_file() and relative not in keep:
            if path.suffix in _SUFFIXES:
                stale.add(relative[: -len(path.suffix)])
            else:
                path.unlink()  # a temporary file of a killed run
    for video_id in stale:
        remove_features(directory, video_id)
    return sorted(stale)


def others(directory: Path, videos: Sequence[VideoFile], fingerprint: str) -> dict[str, VideoEntry]:
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
    return {key: e for key, e in rest.items() if feature_path(directory, key, ".npy").exists()}

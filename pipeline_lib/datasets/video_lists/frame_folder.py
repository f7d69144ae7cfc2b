"""A folder of decoded frames, which lists of videos and settings of any kind share.

One file a video or part of one, named by the video's bytes and by all that changes a pixel, so
renamed videos find theirs and changed ones do not.
"""

import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pipeline_lib.errors import ConfigError, DataError, VideoError
from pipeline_lib.runtime.lanes import cores
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.atomic import TEMPORARY_SUFFIX, write_json
from pipeline_lib.storage.hash_cache import HashCache
from pipeline_lib.video.decoders.base import check_file

_LOG = logging.getLogger(__name__)
_HASHES = "video_hashes.json"
_LISTED = 3
# Other programs need room too.
_SPARE = 256 << 20
T = TypeVar("T")


def frame_path(folder: Path, key: str) -> Path:
    """The file of a video or part; of 25,000 videos a hundred share a folder."""
    return folder / key[:2] / f"{key}.npy"


def remove_unfinished(folder: Path) -> None:
    """Remove what killed runs left; only while no other process writes there."""
    for path in folder.glob(f"*/.*{TEMPORARY_SUFFIX}.npy"):
        path.unlink(missing_ok=True)


@dataclass(frozen=True)
class SideBySide:
    """Work on several videos at a time.

    Attributes:
        workers: How many; 0 takes one a core.
        progress: Told of every video.
    """

    workers: int = 0
    progress: Progress = SILENT

    def run(self, title: str, paths: Sequence[Path], work: Callable[[Path], T]) -> dict[Path, T]:
        """What ``work`` gives for each path.

        Args:
            title: What is done, in words.
            paths: Of the videos.
            work: Called by several threads; its errors end all of it.
        """
        pool = ThreadPoolExecutor(self.workers or cores(), "video")
        try:
            with self.progress.task(title, len(paths)) as advance:
                running = {pool.submit(work, path): path for path in paths}
                done = {}
                for future in as_completed(running):
                    done[running[future]] = future.result()
                    advance(note=running[future].stem)
                return done
        finally:
            # After an error or Ctrl-C only the videos that have begun are finished.
            pool.shutdown(wait=True, cancel_futures=True)


def video_digests(
    paths: Sequence[Path], folder: Path, together: SideBySide
) -> tuple[dict[Path, str], dict[Path, str]]:
    """The SHA-256 of each video's bytes, which are read only where it is new or has changed.

    Args:
        paths: Of the videos.
        folder: Where hashes are remembered.
        together: How the work is done.

    Returns:
        Hashes of the readable ones, and reasons for the others.
    """
    hashes = HashCache(folder / _HASHES)
    unreadable: dict[Path, str] = {}

    def digest(path: Path) -> str:
        try:
            check_file(path)
            return hashes.sha256(path)
        except VideoError as error:
            unreadable[path] = error.message
        except OSError as error:
            unreadable[path] = f"{path}: {error.strerror}."
        return ""

    found = together.run("hash videos", sorted(set(paths)), digest)
    hashes.save()
    return {path: sha256 for path, sha256 in found.items() if sha256}, unreadable


class KnownKeys:
    """Keys of what was decoded without being kept; a damaged file is started anew.

    Attributes:
        keys: To be added to.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.keys = self._read()

    def save(self) -> None:
        """Write them; what another run has found meanwhile stays."""
        write_json(self._path, sorted(self.keys | self._read()))

    def _read(self) -> set[str]:
        try:
            return {str(key) for key in json.loads(self._path.read_text(encoding="utf-8"))}
        except (OSError, ValueError, TypeError):
            return set()


def refuse_full_disk(folder: Path, size: int, what: str, hint: str) -> None:
    """Refuse to fill a disk.

    Args:
        folder: Where it is to be written.
        size: How much, in bytes.
        what: What it is, for messages.
        hint: What takes less.

    Raises:
        ConfigError: There is no room.
    """
    free = shutil.disk_usage(folder).free
    _LOG.info("frames of %s: %s in %s", what, _size(size), folder)
    if size + _SPARE > free:
        raise ConfigError(
            f"The frames of {what} take {_size(size)}; {folder} has {_size(free)} left.", hint=hint
        )


def warn_of_failures(failed: Mapping[int, str], listed: int) -> None:
    """Count and name what cannot be read of a list.

    Args:
        failed: Rows and reasons.
        listed: How many there are.

    Raises:
        DataError: Nothing can be read.
    """
    if not failed:
        return
    reasons = list(dict.fromkeys(failed[row] for row in sorted(failed)))
    more = f"; and {len(reasons) - _LISTED} more" if len(reasons) > _LISTED else ""
    some = "; ".join(reasons[:_LISTED]) + more
    if len(failed) == listed:
        raise DataError(
            f"None of {listed} videos or segments can be read: {some}",
            hint="Correct the files, or set dataset.videos to the folder that they are in.",
        )
    _LOG.warning("%d of %d videos are left out: %s", len(failed), listed, some)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"

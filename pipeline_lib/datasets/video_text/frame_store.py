"""Frames of videos as a network takes them: decoded and scaled once, then read from disk.

One file a video or segment, named by the video's bytes and by all that changes a pixel, so renamed
videos find theirs and changed ones do not. Each is written as a whole or not at all: a killed run
goes on where it was, and several processes do each other no harm.
"""

import hashlib
import json
import logging
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.datasets.video_text.frame_files import (
    FrameSpec,
    frame_path,
    is_whole,
    load_frames,
    sample_video_once,
)
from pipeline_lib.datasets.video_text.items import MissingVideo, VideoItem
from pipeline_lib.errors import ConfigError, DataError, VideoError
from pipeline_lib.runtime.lanes import cores
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.atomic import TEMPORARY_SUFFIX, write_json
from pipeline_lib.storage.hash_cache import HashCache
from pipeline_lib.storage.turns import taking_turns
from pipeline_lib.video.decoders.base import check_file
from pipeline_lib.video.sampling import Segment, sample_segment
from pipeline_lib.video.scaling import Resize

_LOG = logging.getLogger(__name__)
_HASHES, _CHECKED = "video_hashes.json", "checked.json"
_LISTED = 3
# Other programs need room too.
_SPARE = 256 << 20
T = TypeVar("T")


class FrameStore:
    """The frames of a list of videos. Use :func:`open_frames`.

    Attributes:
        usable: bool [items], whether an item can be read.
        failures: The items that cannot, each with its reason.
        sha256: Of all that decides what is read: bytes of the videos, times, count, scaling.
    """

    def __init__(
        self,
        items: Sequence[VideoItem],
        keys: Sequence[str],
        spec: FrameSpec,
        folder: Path | None,
        failed: Mapping[int, str],
    ) -> None:
        self._items, self._keys = items, keys
        self._spec, self._folder = spec, folder
        self._failed = failed
        self.usable = np.array([row not in failed for row in range(len(items))], dtype=bool)
        self.failures = tuple(
            MissingVideo(items[row].id, str(items[row].path), reason)
            for row, reason in sorted(failed.items())
        )
        content = json.dumps([list(keys), self.usable.tolist()])
        self.sha256 = hashlib.sha256(content.encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._items)

    def read(self, item: int) -> NDArray[np.uint8]:
        """The frames of one item; may be called from several threads.

        Returns:
            uint8 [frames * draws, S, S, 3], ascending in time and not to be written to: those of
            frame ``i`` begin at ``i * draws``.

        Raises:
            DataError: The item is not usable, or its file has gone or is damaged.
            VideoError: The video has changed since it was looked at.
        """
        if item in self._failed:
            raise DataError(f"{self._items[item].id}: {self._failed[item]}")
        if self._folder is not None:
            return load_frames(frame_path(self._folder, self._keys[item]), self._spec)
        spec, video = self._spec, self._items[item]
        return sample_segment(
            video.path,
            video.segment(),
            spec.count,
            spec.resize,
            decoder=spec.decoder,
            tolerant=spec.tolerant,
        ).frames


def open_frames(
    items: Sequence[VideoItem],
    *,
    frames: int,
    draws: int,
    resize: Resize,
    cache: Literal["disk", "none"],
    folder: Path,
    progress: Progress = SILENT,
    workers: int = 0,
    decoder: str = "pyav",
    tolerant: bool = False,
) -> FrameStore:
    """Make the frames of videos readable, one decode a video whatever the number of its segments.

    What is read depends neither on ``cache`` nor on ``workers``. Only one process writes to a
    folder at a time; others wait for it, and then find what it wrote.

    Args:
        items: Videos and segments.
        frames: Frames that the network sees of an item.
        draws: Frames kept for each of these.
        resize: With a crop or ``squash``.
        cache: Keep the frames in files, or decode them each time they are read; then each video
            is decoded once here, unless that was done before, so that broken ones are known.
        folder: Of the files; may be shared by any lists of videos and any settings.
        progress: Told of every video.
        workers: Videos at a time; 0 takes one a core.
        decoder: A name in :data:`~pipeline_lib.video.decoders.DECODERS`.
        tolerant: Take what a damaged video gives.

    Raises:
        ConfigError: The disk has no room for the files, or there is no such decoder.
        DataError: No item can be read.
    """
    spec = FrameSpec(frames * draws, resize, decoder, tolerant)
    opening = _Opening(items, spec, folder, cache, workers or cores(), progress)
    keys, failed = opening.run()
    _report(items, failed)
    return FrameStore(items, keys, spec, folder if cache == "disk" else None, failed)


class _Opening:
    """The work of :func:`open_frames`."""

    def __init__(
        self,
        items: Sequence[VideoItem],
        spec: FrameSpec,
        folder: Path,
        cache: Literal["disk", "none"],
        workers: int,
        progress: Progress,
    ) -> None:
        self._items, self._spec, self._folder = items, spec, folder
        self._to_disk = cache == "disk"
        self._workers, self._progress = workers, progress

    def run(self) -> tuple[list[str], dict[int, str]]:
        """The key of every item, empty where its file is not readable; reasons of the failed."""
        digests, unreadable = self._digests()
        keys = [
            self._spec.key(digests[item.path], item.segment()) if item.path in digests else ""
            for item in self._items
        ]
        with taking_turns(self._folder) as alone:
            if alone:
                _remove_unfinished(self._folder)
            bad = self._decode(keys)
        failed = {
            row: unreadable.get(item.path) or bad.get(key, "")
            for row, (item, key) in enumerate(zip(self._items, keys, strict=True))
        }
        return keys, {row: reason for row, reason in failed.items() if reason}

    def _digests(self) -> tuple[dict[Path, str], dict[Path, str]]:
        hashes = HashCache(self._folder / _HASHES)
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

        paths = sorted({item.path for item in self._items})
        found = self._side_by_side("hash videos", paths, digest)
        hashes.save()
        return {path: sha256 for path, sha256 in found.items() if sha256}, unreadable

    def _decode(self, keys: Sequence[str]) -> dict[str, str]:
        """Decode what is not known yet; key to reason for what cannot be decoded."""
        checked = _Checked(self._folder / _CHECKED)
        todo: defaultdict[Path, dict[str, Segment]] = defaultdict(dict)
        planned: set[str] = set()
        for item, key in zip(self._items, keys, strict=True):
            if key and key not in planned and not self._is_known(key, checked):
                planned.add(key)
                todo[item.path][key] = item.segment()
        if not todo:
            return {}
        if self._to_disk:
            self._refuse_full_disk(len(planned), len(todo))
        folder = self._folder if self._to_disk else None
        bad: dict[str, str] = {}

        def work(path: Path) -> None:
            failed = sample_video_once(path, todo[path], self._spec, folder)
            bad.update(failed)
            checked.keys |= todo[path].keys() - failed.keys()

        try:
            self._side_by_side("decode videos", sorted(todo), work)
        finally:
            if not self._to_disk:
                checked.save()
        return bad

    def _is_known(self, key: str, checked: "_Checked") -> bool:
        if self._to_disk:
            return is_whole(frame_path(self._folder, key), self._spec)
        return key in checked.keys

    def _refuse_full_disk(self, files: int, videos: int) -> None:
        needed, free = files * self._spec.file_bytes(), shutil.disk_usage(self._folder).free
        _LOG.info("frames of %d videos: %s in %s", videos, _size(needed), self._folder)
        if needed + _SPARE > free:
            raise ConfigError(
                f"The frames of {files} videos or segments take {_size(needed)}; {self._folder} "
                f"has {_size(free)} left.",
                hint="Set train.tempme_stop.cache: none to decode them in each epoch, or make "
                "frame_draws smaller.",
            )

    def _side_by_side(
        self, title: str, paths: Sequence[Path], work: Callable[[Path], T]
    ) -> dict[Path, T]:
        pool = ThreadPoolExecutor(self._workers, "video")
        try:
            with self._progress.task(title, len(paths)) as advance:
                running = {pool.submit(work, path): path for path in paths}
                done = {}
                for future in as_completed(running):
                    done[running[future]] = future.result()
                    advance(note=running[future].stem)
                return done
        finally:
            # After an error or Ctrl-C only the videos that have begun are finished.
            pool.shutdown(wait=True, cancel_futures=True)


class _Checked:
    """Keys of what was decoded without being kept; a damaged file is started anew."""

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


def _remove_unfinished(folder: Path) -> None:
    for path in folder.glob(f"*/.*{TEMPORARY_SUFFIX}.npy"):
        path.unlink(missing_ok=True)


def _report(items: Sequence[VideoItem], failed: Mapping[int, str]) -> None:
    if not failed:
        return
    reasons = list(dict.fromkeys(failed[row] for row in sorted(failed)))
    more = f"; and {len(reasons) - _LISTED} more" if len(reasons) > _LISTED else ""
    some = "; ".join(reasons[:_LISTED]) + more
    if len(failed) == len(items):
        raise DataError(f"None of {len(items)} videos or segments can be read: {some}")
    _LOG.warning("%d of %d videos are left out: %s", len(failed), len(items), some)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"

"""Frames of videos as a network takes them: decoded and scaled once, then read from disk.

One file a video or segment, named by the video's bytes and by all that changes a pixel, so renamed
videos find theirs and changed ones do not. Each is written as a whole or not at all: a killed run
goes on where it was, and several processes do each other no harm.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.datasets.video_lists.frame_folder import (
    KnownKeys,
    SideBySide,
    frame_path,
    refuse_full_disk,
    remove_unfinished,
    video_digests,
    warn_of_failures,
)
from pipeline_lib.datasets.video_lists.missing import MissingVideo
from pipeline_lib.datasets.video_text.frame_files import (
    FrameSpec,
    is_whole,
    load_frames,
    sample_video_once,
)
from pipeline_lib.datasets.video_text.items import VideoItem
from pipeline_lib.errors import DataError
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.turns import taking_turns
from pipeline_lib.video.sampling import Segment, sample_segment
from pipeline_lib.video.scaling import Resize

_CHECKED = "checked.json"


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
    opening = _Opening(items, spec, folder, cache, SideBySide(workers, progress))
    keys, failed = opening.run()
    warn_of_failures(failed, len(items))
    return FrameStore(items, keys, spec, folder if cache == "disk" else None, failed)


class _Opening:
    """The work of :func:`open_frames`."""

    def __init__(
        self,
        items: Sequence[VideoItem],
        spec: FrameSpec,
        folder: Path,
        cache: Literal["disk", "none"],
        together: SideBySide,
    ) -> None:
        self._items, self._spec, self._folder = items, spec, folder
        self._to_disk = cache == "disk"
        self._together = together

    def run(self) -> tuple[list[str], dict[int, str]]:
        """The key of every item, empty where its file is not readable; reasons of the failed."""
        paths = [item.path for item in self._items]
        digests, unreadable = video_digests(paths, self._folder, self._together)
        keys = [
            self._spec.key(digests[item.path], item.segment()) if item.path in digests else ""
            for item in self._items
        ]
        with taking_turns(self._folder) as alone:
            if alone:
                remove_unfinished(self._folder)
            bad = self._decode(keys)
        failed = {
            row: unreadable.get(item.path) or bad.get(key, "")
            for row, (item, key) in enumerate(zip(self._items, keys, strict=True))
        }
        return keys, {row: reason for row, reason in failed.items() if reason}

    def _decode(self, keys: Sequence[str]) -> dict[str, str]:
        """Decode what is not known yet; key to reason for what cannot be decoded."""
        checked = KnownKeys(self._folder / _CHECKED)
        todo: defaultdict[Path, dict[str, Segment]] = defaultdict(dict)
        planned: set[str] = set()
        for item, key in zip(self._items, keys, strict=True):
            if key and key not in planned and not self._is_known(key, checked):
                planned.add(key)
                todo[item.path][key] = item.segment()
        if not todo:
            return {}
        if self._to_disk:
            refuse_full_disk(
                self._folder,
                len(planned) * self._spec.file_bytes(),
                f"{len(planned)} videos or segments",
                "Set train.tempme_stop.cache: none to decode them in each epoch, or make "
                "frame_draws smaller.",
            )
        folder = self._folder if self._to_disk else None
        bad: dict[str, str] = {}

        def work(path: Path) -> None:
            failed = sample_video_once(path, todo[path], self._spec, folder)
            bad.update(failed)
            checked.keys |= todo[path].keys() - failed.keys()

        try:
            self._together.run("decode videos", sorted(todo), work)
        finally:
            if not self._to_disk:
                checked.save()
        return bad

    def _is_known(self, key: str, checked: KnownKeys) -> bool:
        if self._to_disk:
            return is_whole(frame_path(self._folder, key), self._spec)
        return key in checked.keys

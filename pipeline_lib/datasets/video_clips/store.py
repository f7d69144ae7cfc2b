"""The frames of a list of clips: decoded when they are asked for, or some of them kept on disk."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.config import VideoListConfig
from pipeline_lib.datasets.video_clips.items import ClipItem, ClipList
from pipeline_lib.datasets.video_clips.opening import Opened, Opening, Plan, load_kept
from pipeline_lib.datasets.video_clips.picture_folders import PictureSource
from pipeline_lib.datasets.video_clips.sources import Indices, Pixels, Source
from pipeline_lib.datasets.video_clips.video_files import VideoSource
from pipeline_lib.datasets.video_lists.frame_folder import SideBySide, warn_of_failures
from pipeline_lib.datasets.video_lists.missing import MissingVideo
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.video.clip_sampling import ClipSampling


class ClipStore:
    """The frames of a list of clips. Use :func:`open_clips`.

    Attributes:
        items: The usable ones; what is read is asked for by their rows.
        counts: int64 [items], frames of each one's window.
        failures: The items that cannot be used, each with its reason.
        sha256: Of all that decides what is read: bytes of the videos, windows, labels, sampling.
    """

    def __init__(
        self,
        items: Sequence[ClipItem],
        opened: Opened,
        source: Source,
        plan: Plan,
        folder: Path,
    ) -> None:
        rows = sorted(opened.windows)
        self.items = tuple(items[row] for row in rows)
        self.counts: NDArray[np.int64] = np.array(
            [opened.windows[row].count for row in rows], dtype=np.int64
        )
        self.failures = tuple(
            MissingVideo(items[row].id, str(items[row].path), reason)
            for row, reason in sorted(opened.failed.items())
        )
        self._first = [opened.windows[row].first for row in rows]
        self._keys = [opened.keys[row] for row in rows]
        self._source, self._plan, self._folder = source, plan, folder
        labels = [[item.id, item.label] for item in self.items]
        content = json.dumps([labels, self._keys, repr(plan)])
        self.sha256 = hashlib.sha256(content.encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.items)

    def read(self, item: int, indices: Indices) -> Pixels:
        """Frames of one item; may be called from several threads.

        Args:
            item: Row of ``items``.
            indices: int64 [T], ascending, counted within the window; repeats are allowed. Where
                frames are kept, those of :meth:`train_indices` and :meth:`test_indices`.

        Returns:
            uint8 [T, H, W, 3].

        Raises:
            DataError: A kept file has gone or is damaged, or a picture cannot be read.
            VideoError: The video has changed since it was looked at.
            ValueError: Frames are asked for that are not kept or not there.
        """
        count = int(self.counts[item])
        if len(indices) == 0 or indices[0] < 0 or indices[-1] >= count:
            raise ValueError(f"{self.items[item].id}: frames {indices} of {count}.")
        if self._plan.draws is None:
            wanted = [self._first[item] + indices]
            [(_, frames)] = self._source.decode(self.items[item].path, wanted)
            return frames
        kept = self._plan.frames(count)
        places = np.searchsorted(kept, indices)
        if not np.array_equal(kept[np.minimum(places, len(kept) - 1)], indices):
            raise ValueError(f"{self.items[item].id}: frames {indices} are not all kept.")
        return np.array(load_kept(self._folder, self._keys[item], len(kept))[places])

    def train_indices(self, item: int, rng: np.random.Generator) -> Indices:
        """A random clip: int64 [frames], ascending, counted within the window.

        Raises:
            ValueError: The clips were not opened for training.
        """
        sampling, count = self._plan.sampling, int(self.counts[item])
        if not self._plan.training:
            raise ValueError("These clips were not opened for training.")
        if self._plan.draws is None:
            return sampling.draw(count, rng)
        return sampling.draw_candidates(sampling.candidates(count, self._plan.draws), rng)

    def test_indices(self, item: int, segment: int = 0, segments: int = 1) -> Indices:
        """One of ``segments`` clips that are always the same: int64 [frames], as above."""
        return self._plan.sampling.test(int(self.counts[item]), segment, segments)


def open_clips(
    clips: ClipList,
    config: VideoListConfig,
    *,
    frames: int,
    segments: int = 1,
    training: bool,
    folder: Path,
    decoder: str = "pyav",
    tolerant: bool = False,
    progress: Progress = SILENT,
    workers: int = 0,
) -> ClipStore:
    """Make the clips readable, with one decode a video whatever the number of its windows.

    Every video is decoded once in any case, unless that was done before, so that broken ones are
    known. Only one process writes to a folder at a time; others wait for it, and then find what it
    wrote.

    Args:
        clips: Videos and windows.
        config: Which frames are sampled, scaled and kept; ``sampling`` is not null.
        frames: Of a clip.
        segments: Clips that are always the same and can be read of each item.
        training: Random clips can be read as well.
        folder: Of the kept frames and of what is known of videos; may be shared by any lists.
        decoder: A name in :data:`~pipeline_lib.video.decoders.DECODERS`.
        tolerant: Take what a damaged video gives.
        progress: Told of every video.
        workers: Videos at a time; 0 takes one a core.

    Raises:
        ConfigError: The disk has no room for the frames, or there is no such decoder.
        DataError: No item can be read.
    """
    if config.sampling is None:
        raise ValueError("dataset.sampling is decided by the preset before clips are opened.")
    source: Source = (
        PictureSource(config.frame_name, config.short_side)
        if config.format == "frames"
        else VideoSource(config.short_side, decoder, tolerant=tolerant)
    )
    sampling = ClipSampling(config.sampling, frames, config.rate)
    plan = Plan(sampling, segments, training, config.frame_draws)
    opening = Opening(clips.items, source, plan, folder, SideBySide(workers, progress))
    opened = opening.run()
    warn_of_failures(opened.failed, len(clips.items))
    return ClipStore(clips.items, opened, source, plan, folder)

"""Frames of clips out of video files, by the numbers of presented frames."""

from collections import deque
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.datasets.video_clips.items import ClipItem
from pipeline_lib.datasets.video_clips.sources import Indices, Pixels, Window
from pipeline_lib.datasets.video_lists.frame_folder import SideBySide, video_digests
from pipeline_lib.video.announcement import Announcement, announcement
from pipeline_lib.video.clip_sampling import window_frames
from pipeline_lib.video.reader import open_video
from pipeline_lib.video.sampling import refuse_damage
from pipeline_lib.video.scaling import Resize

# Videos whose times are remembered: some 2 kB for ten seconds, 50 kB for four minutes.
_REMEMBERED = 4096


class VideoSource:
    """Video files; a :class:`~pipeline_lib.datasets.video_clips.sources.Source`.

    Args:
        short_side: Pixels that the shorter side is scaled to; ``None`` leaves it.
        decoder: A name in :data:`~pipeline_lib.video.decoders.DECODERS`.
        tolerant: Damage on the way to a frame leaves out what cannot be decoded, so that an
            earlier frame stands for it, instead of refusing the video.
    """

    def __init__(self, short_side: int | None, decoder: str, *, tolerant: bool) -> None:
        self._resize = Resize(short_side) if short_side else None
        self._decoder, self._tolerant = decoder, tolerant
        self._times_s = lru_cache(_REMEMBERED)(_frame_times)

    def settings(self) -> list[object]:
        """Scaling and decoding."""
        short_side = self._resize.size if self._resize else None
        return ["video", short_side, self._decoder, self._tolerant]

    def digests(
        self, items: Sequence[ClipItem], folder: Path, together: SideBySide
    ) -> tuple[dict[Path, str], dict[Path, str]]:
        """SHA-256 of the files' bytes."""
        return video_digests([item.path for item in items], folder, together)

    def windows(self, path: Path, items: Sequence[ClipItem]) -> list[Window | str]:
        """Found in what the container announces, without decoding more than the first frame.

        Raises:
            VideoError: The video cannot be read.
        """
        announced = announcement(path)
        times_s, end_s = _seconds(announced), announced.end_s(len(announced.times))
        sideways = announced.turns % 2
        width, height = announced.width, announced.height
        if self._resize is not None:
            width, height = self._resize.target(width, height)
        shape = (width, height) if sideways else (height, width)
        windows: list[Window | str] = []
        for item in items:
            if item.start_s >= end_s:
                windows.append(f"{item.id} begins behind the end of the video at {end_s:g} s")
            else:
                windows.append(Window(*window_frames(times_s, item.start_s, item.end_s), *shape))
        return windows

    def check(self, path: Path, count: int) -> None:
        """Decode frames without converting them.

        Raises:
            VideoError: The video cannot be read.
        """
        with open_video(path, decoder=self._decoder, threads=1) as video:
            # Each of them: a decoder may pass over frames that nobody asks for, and their damage.
            deque(video.at(self._times_s(path)[:count].tolist()), maxlen=0)
            if not self._tolerant:
                refuse_damage(path, video)

    def decode(self, path: Path, wanted: Sequence[Indices]) -> Iterator[tuple[int, Pixels]]:
        """One pass over the video, which holds the clips that overlap.

        With one thread: what a damaged video shows must not depend on the machine, and several
        videos are decoded at a time.

        Raises:
            VideoError: The video cannot be read.
        """
        numbers = np.unique(np.concatenate(wanted))
        times_s = self._times_s(path)[numbers].tolist()
        takers: dict[int, list[int]] = {number: [] for number in numbers.tolist()}
        for clip, indices in enumerate(wanted):
            for number in np.unique(indices).tolist():
                takers[number].append(clip)
        taken: dict[int, list[Pixels]] = {}
        with open_video(path, decoder=self._decoder, threads=1) as video:
            for number, sample in zip(numbers.tolist(), video.at(times_s), strict=True):
                image = sample.rgb(self._resize)
                for clip in takers[number]:
                    taken.setdefault(clip, []).append(image)
                    if number == wanted[clip][-1]:
                        if not self._tolerant:
                            refuse_damage(path, video)
                        _, places = np.unique(wanted[clip], return_inverse=True)
                        yield clip, np.stack(taken.pop(clip))[places]


def _frame_times(path: Path) -> NDArray[np.float64]:
    return _seconds(announcement(path))


def _seconds(announced: Announcement) -> NDArray[np.float64]:
    """When each frame is shown, since the first one."""
    start = announced.times[0]
    return np.array([float(time - start) for time in announced.times], np.float64)

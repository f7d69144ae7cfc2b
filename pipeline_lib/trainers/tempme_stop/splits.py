"""The splits of a data set of videos with captions, ready to be embedded."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.config import TempMeStopConfig
from pipeline_lib.datasets.video_lists.missing import MissingVideo
from pipeline_lib.datasets.video_text.frame_store import FrameStore, open_frames
from pipeline_lib.datasets.video_text.items import VideoText
from pipeline_lib.datasets.video_text.reading import NoVideosError, read_video_text
from pipeline_lib.fingerprint import fingerprint
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.video.scaling import Resize


@dataclass(frozen=True)
class CaptionedFrames:
    """One split: captions, and the frames of those of its videos that can be read.

    Attributes:
        name: Of the split.
        text: Usable videos and their captions.
        store: Frames of these and of unusable ones.
        rows: Where in the store each usable video is, int64 [videos].
    """

    name: str
    text: VideoText
    store: FrameStore
    rows: NDArray[np.int64]

    @property
    def texts(self) -> tuple[str, ...]:
        """The captions."""
        return self.text.texts

    @property
    def missing(self) -> tuple[MissingVideo, ...]:
        """Videos that are left out, with their captions."""
        return self.text.missing

    def read(self, video: int) -> NDArray[np.uint8]:
        """The frames that are kept of a usable video, uint8 [n, S, S, 3]."""
        return self.store.read(int(self.rows[video]))

    def facts(self) -> dict[str, object]:
        """What a result depends on, and how much it is."""
        owners = self.text.video_of_text.tolist()
        return {
            "fingerprint": fingerprint(
                {"texts": self.texts, "videos": owners, "of": self.store.sha256}
            ),
            "texts": len(self.texts),
            "videos": len(self.rows),
            "missing": len(self.missing),
        }


@dataclass(frozen=True)
class Splits:
    """What a model is trained on and chosen by.

    Attributes:
        train: Training captions, at least one.
        val: Validation captions; ``None`` where there are none.
    """

    train: CaptionedFrames
    val: CaptionedFrames | None

    @property
    def missing(self) -> list[tuple[str, MissingVideo]]:
        """Videos that are left out, each with its split."""
        return [(split.name, video) for split in self._splits for video in split.missing]

    @property
    def listed(self) -> int:
        """How many videos there are, with those that are left out."""
        return sum(len(split.rows) + len(split.missing) for split in self._splits)

    @property
    def _splits(self) -> list[CaptionedFrames]:
        return [split for split in (self.train, self.val) if split is not None]


def open_splits(
    config: TempMeStopConfig,
    data_root: Path,
    *,
    frames: int,
    resize: Resize,
    cache: Path,
    decoder: str = "pyav",
    tolerant: bool = False,
    progress: Progress = SILENT,
) -> Splits:
    """What a model is trained on and chosen by; arguments as of :func:`open_split`.

    Raises:
        DataError: As :func:`open_split`, but for a data set without ``val``.
    """
    opened = partial(
        open_split,
        config=config,
        data_root=data_root,
        frames=frames,
        resize=resize,
        cache=cache,
        decoder=decoder,
        tolerant=tolerant,
        progress=progress,
    )
    train = opened("train", draws=config.frame_draws)
    try:
        # A single draw of each part is its middle, which every later use of the model sees.
        return Splits(train, opened("val", draws=1))
    except NoVideosError:
        return Splits(train, None)


def open_split(
    name: str,
    config: TempMeStopConfig,
    data_root: Path,
    *,
    frames: int,
    draws: int,
    resize: Resize,
    cache: Path,
    decoder: str = "pyav",
    tolerant: bool = False,
    progress: Progress = SILENT,
) -> CaptionedFrames:
    """Read captions, and the frames of their videos as far as they are not on disk yet.

    Args:
        name: ``train``, ``val`` or ``test``.
        config: The section ``train.tempme_stop``.
        data_root: Folder that paths of ``config.dataset`` fall back to.
        frames: Frames of a video that the network sees.
        draws: Frames kept for each of these.
        resize: How it wants them.
        cache: Folder of the frames on disk.
        decoder: A name in :data:`~pipeline_lib.video.decoders.DECODERS`.
        tolerant: Take what a damaged video gives.
        progress: Told of each video.

    Raises:
        NoVideosError: The split has no videos.
        DataError: Annotations cannot be used, or no video of the split can be read.
    """
    text = read_video_text(config.dataset, data_root, name)
    store = open_frames(
        text.videos,
        frames=frames,
        draws=draws,
        resize=resize,
        cache=config.cache,
        folder=cache,
        progress=progress,
        decoder=decoder,
        tolerant=tolerant,
    )
    rows = np.flatnonzero(store.usable).astype(np.int64)
    return CaptionedFrames(name, text.without(store.failures), store, rows)

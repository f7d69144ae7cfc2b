"""The splits of a data set of videos with a class or a value each, ready to be seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline_lib.config import VideoListConfig
from pipeline_lib.datasets.video_clips.items import ClipItem, ClipList
from pipeline_lib.datasets.video_clips.reading import NoClipsError, Task, read_clip_list
from pipeline_lib.datasets.video_clips.store import ClipStore, open_clips
from pipeline_lib.datasets.video_lists.missing import MissingVideo
from pipeline_lib.fingerprint import fingerprint
from pipeline_lib.runtime.progress import SILENT, Progress


@dataclass(frozen=True)
class Clips:
    """One split: those of its clips that can be read.

    Attributes:
        name: Of the split.
        listed: Usable clips, and the videos that are left out.
        store: Their frames; row i is ``items[i]``.
    """

    name: str
    listed: ClipList
    store: ClipStore

    @property
    def items(self) -> tuple[ClipItem, ...]:
        """The usable clips, at least one."""
        return self.listed.items

    def facts(self) -> dict[str, object]:
        """What a result depends on, and how much it is."""
        labels = [(item.id, item.video, item.label) for item in self.items]
        return {
            "fingerprint": fingerprint({"labels": labels, "of": self.store.sha256}),
            "clips": len(self.items),
            "videos": len({item.video for item in self.items}),
            "missing": len(self.listed.missing),
        }


@dataclass(frozen=True)
class Splits:
    """What a network is trained on and chosen by.

    Attributes:
        train: Training clips.
        val: Validation clips; ``None`` where there are none.
    """

    train: Clips
    val: Clips | None

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes; ``None`` where values are learned."""
        return self.train.listed.classes

    @property
    def missing(self) -> list[tuple[str, MissingVideo]]:
        """Videos that are left out, each with its split."""
        return [(split.name, video) for split in self._all for video in split.listed.missing]

    @property
    def listed(self) -> int:
        """How many clips there are, with those that are left out."""
        return sum(len(split.items) + len(split.listed.missing) for split in self._all)

    @property
    def _all(self) -> list[Clips]:
        return [split for split in (self.train, self.val) if split is not None]


def open_splits(
    dataset: VideoListConfig,
    data_root: Path,
    task: Task,
    *,
    frames: int,
    folder: Path,
    exclude: Sequence[str] = (),
    decoder: str = "pyav",
    tolerant: bool = False,
    progress: Progress = SILENT,
) -> Splits:
    """What a network is trained on and chosen by.

    Args:
        dataset: The section ``dataset``, with its sampling.
        data_root: Folder that paths of ``dataset`` fall back to.
        task: What labels are.
        frames: Frames of a clip.
        folder: Of frames that are kept on disk.
        exclude: Paths below the videos that are left out.
        decoder: A name in :data:`~pipeline_lib.video.decoders.DECODERS`.
        tolerant: Take what a damaged video gives.
        progress: Told of each video.

    Raises:
        DataError: Lists cannot be used, or no video of a split can be read.
    """

    def opened(name: str, listed: ClipList, *, training: bool) -> Clips:
        store = open_clips(
            listed,
            dataset,
            frames=frames,
            training=training,
            folder=folder,
            decoder=decoder,
            tolerant=tolerant,
            progress=progress,
        )
        return Clips(name, listed.without(store.failures), store)

    # Both lists first: what is wrong with one is told before hours of decoding.
    train = read_clip_list(dataset, data_root, "train", task, exclude)
    try:
        val = read_clip_list(dataset, data_root, "val", task, exclude)
    except NoClipsError:
        val = None
    return Splits(
        opened("train", train, training=True),
        None if val is None else opened("val", val, training=False),
    )

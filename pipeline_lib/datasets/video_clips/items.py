"""Videos with a class or a value each, as every format comes out."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline_lib.datasets.video_lists.missing import MissingVideo


@dataclass(frozen=True)
class ClipItem:
    """A video, or a window of one.

    Attributes:
        id: Unique in its list, NFC.
        video: The video's own id, which all its windows share: its path below the folder of the
            videos.
        path: The file, or the folder of its pictures.
        label: Index of its class, or the value that is learned.
        start_s: Where the window begins, in seconds since the first frame.
        end_s: Where it ends; ``None`` is the end of the video.
        listed_frames: How many pictures the list says there are; ``None`` for a video file.
    """

    id: str
    video: str
    path: Path
    label: int | float
    start_s: float = 0.0
    end_s: float | None = None
    listed_frames: int | None = None


@dataclass(frozen=True)
class ClipList:
    """One split of a data set.

    Attributes:
        items: In the order of the list, the windows of a video one after the other.
        classes: Names of the classes; ``None`` where values are learned.
        missing: Videos of the list that cannot be used.
    """

    items: tuple[ClipItem, ...]
    classes: tuple[str, ...] | None
    missing: tuple[MissingVideo, ...] = ()

    def without(self, failed: Iterable[MissingVideo]) -> "ClipList":
        """The same without items that turned out to be unusable; they join ``missing``."""
        failures = tuple(failed)
        gone = {failure.id for failure in failures}
        return replace(
            self,
            items=tuple(item for item in self.items if item.id not in gone),
            missing=(*self.missing, *failures),
        )

"""Videos with captions, as every format comes out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.datasets.video_lists.missing import MissingVideo
from pipeline_lib.video.sampling import Segment


@dataclass(frozen=True)
class VideoItem:
    """A video, or a segment of one, that captions tell of.

    Attributes:
        id: Unique in its data set, NFC.
        path: The file.
        start_s: Seconds since its first frame.
        end_s: Where the segment ends; ``None`` is the end of the file.
        at_most_s: Only so many seconds from its start count where it is longer.
    """

    id: str
    path: Path
    start_s: float = 0.0
    end_s: float | None = None
    at_most_s: float | None = None

    def segment(self) -> Segment:
        """What is sampled of the file; messages call it by the id."""
        return Segment(self.start_s, self.end_s, self.at_most_s, self.id)


@dataclass(frozen=True)
class VideoText:
    """One split of a data set.

    Attributes:
        videos: Those with a file, in the order of the list, each with at least one text.
        texts: Captions of ``videos``, in their order; equal ones stand several times.
        video_of_text: int64 [texts], index of each text's video.
        missing: Videos of the list without a file or without captions; their captions are not in
            ``texts``.
    """

    videos: tuple[VideoItem, ...]
    texts: tuple[str, ...]
    video_of_text: NDArray[np.int64]
    missing: tuple[MissingVideo, ...] = ()

    def without(self, failed: Sequence[MissingVideo]) -> "VideoText":
        """The same without videos that turned out to be unusable; they join ``missing``."""
        gone = {video.id for video in failed}
        kept = np.array([video.id not in gone for video in self.videos], dtype=bool)
        new_index = np.cumsum(kept, dtype=np.int64) - 1
        texts = kept[self.video_of_text]
        return replace(
            self,
            videos=tuple(video for video in self.videos if video.id not in gone),
            texts=tuple(text for text, is_kept in zip(self.texts, texts, strict=True) if is_kept),
            video_of_text=new_index[self.video_of_text[texts]],
            missing=(*self.missing, *failed),
        )

"""Where the frames of clips come from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.datasets.video_clips.items import ClipItem
from pipeline_lib.datasets.video_lists.frame_folder import SideBySide

Indices = NDArray[np.int64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Window:
    """Where an item lies in its video.

    Attributes:
        first: Number of its first frame.
        count: Frames it has.
        height: Of the frames that are read.
        width: Of the frames that are read.
    """

    first: int
    count: int
    height: int
    width: int


class Source(Protocol):
    """Videos of one kind."""

    def settings(self) -> list[object]:
        """All that decides which pixels the frame of a number has, for names of files."""

    def digests(
        self, items: Sequence[ClipItem], folder: Path, together: SideBySide
    ) -> tuple[dict[Path, str], dict[Path, str]]:
        """Hash of the content of each readable video, and reasons for the others.

        Args:
            items: Whose videos they are.
            folder: Where hashes are remembered.
            together: How the work is done.
        """

    def windows(self, path: Path, items: Sequence[ClipItem]) -> list[Window | str]:
        """Where items of one video lie in it, or in words why they do not.

        Raises:
            VideoError: The video cannot be read.
            DataError: The pictures cannot be read.
        """

    def check(self, path: Path, count: int) -> None:
        """Decode the first ``count`` frames of a video, any of which may be asked for later.

        Raises:
            VideoError: The video cannot be read.
            DataError: The pictures cannot be read.
        """

    def decode(self, path: Path, wanted: Sequence[Indices]) -> Iterator[tuple[int, Pixels]]:
        """Frames of several clips of one video.

        Args:
            path: The video.
            wanted: Numbers of the frames of each clip, ascending; repeats are allowed.

        Yields:
            Number of a clip and its frames, uint8 [n, H, W, 3], in the order in which they are
            complete.

        Raises:
            VideoError: The video cannot be read; what was yielded before is then worth nothing.
            DataError: The pictures cannot be read.
        """

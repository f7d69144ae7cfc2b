"""One sequential pass over a video that embeds the frames its items need."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.backbones.base import Backbone
from pipeline_lib.errors import WeightsError
from pipeline_lib.video.reader import open_video
from pipeline_lib.video.scaling import resize_image

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SeenFrame:
    """A frame that was decoded.

    Attributes:
        source_index: Its index among all presented frames.
        pts_s: When it was first shown, seconds since the first frame.
        embedding: float64 [D], length 1.
    """

    source_index: int
    pts_s: float
    embedding: NDArray[np.float64]


class WatchedVideo:
    """The wanted frames of one video; their pixels wait on disk.

    Args:
        path: The video.
        times_s: float64 [n], presentation times of all its frames.
        wanted: Positions among ``times_s``.
        backbone: Embeds the frames.
        spool: An empty folder for the pixels. Memory holds one batch of scaled frames, whatever
            the size and length of the video.

    Attributes:
        frames: Position to what was shown then. In a damaged video several positions may lead to
            one frame.
        end_s: When the last decoded frame ends.

    Raises:
        VideoError: The video cannot be read.
        WeightsError: An embedding has no direction, so that it has no cosine to any other.
    """

    def __init__(
        self,
        path: Path,
        times_s: NDArray[np.float64],
        wanted: Collection[int],
        backbone: Backbone,
        spool: Path,
    ) -> None:
        self.frames: dict[int, SeenFrame] = {}
        self._backbone = backbone
        self._spool = spool
        self._waiting: list[tuple[int, int, float, NDArray[np.uint8]]] = []
        positions = sorted(wanted)
        with open_video(path) as video:
            for sample in video.at(times_s[positions].tolist()):
                image = sample.rgb()
                np.save(self._file(sample.source_index), image, allow_pickle=False)
                small = resize_image(image, backbone.resize)
                position = positions[sample.number]
                self._waiting.append((position, sample.source_index, sample.pts_s, small))
                if len(self._waiting) == backbone.batch_size:
                    self._embed()
            self._embed()
            self.end_s = video.duration_s
            if video.errors:
                log.warning("%s: skipped %d corrupt packets", path, video.errors)

    def image(self, frame: SeenFrame) -> NDArray[np.uint8]:
        """The pixels of a seen frame: uint8 [H, W, 3], RGB, full resolution."""
        pixels: NDArray[np.uint8] = np.load(self._file(frame.source_index), allow_pickle=False)
        return pixels

    def _file(self, source_index: int) -> Path:
        return self._spool / f"{source_index}.npy"

    def _embed(self) -> None:
        if not self._waiting:
            return
        rows = self._backbone.encode([image for *_, image in self._waiting])
        for (position, index, pts_s, _), row in zip(self._waiting, rows, strict=True):
            self.frames[position] = SeenFrame(index, pts_s, unit(row))
        self._waiting = []


def unit(row: NDArray[np.float32]) -> NDArray[np.float64]:
    """``row`` [D] scaled to length 1.

    Raises:
        WeightsError: It has no direction.
    """
    wide = row.astype(np.float64)
    norm = float(np.sqrt((wide * wide).sum()))
    if not (np.isfinite(norm) and norm > 0):
        raise WeightsError(
            f"The backbone gives a frame an embedding of length {norm}.",
            hint="Its weights are damaged; `clipline extract` would give the same.",
        )
    return wide / norm

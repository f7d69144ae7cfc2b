"""A video as mining sees it: embeddings of the frames its items need, and pixels of the chosen."""

import logging
from collections import deque
from collections.abc import Collection, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.backbones.base import Backbone
from pipeline_lib.backbones.video_embedding import unit_rows
from pipeline_lib.errors import VideoError
from pipeline_lib.mining.candidates import shown_at
from pipeline_lib.mining.embedding_cache import EmbeddingCache, Rows
from pipeline_lib.mining.spool import Spool
from pipeline_lib.runtime.lanes import Lanes
from pipeline_lib.video.reader import open_video
from pipeline_lib.video.scaling import resize_image

log = logging.getLogger(__name__)

# One batch computes while the next is decoded; more would only wait.
_BATCHES_AHEAD = 2


@dataclass(frozen=True)
class SeenFrame:
    """A frame that was decoded.

    Attributes:
        source_index: Its position among the presentation times of the video.
        pts_s: When it is first shown, seconds since the first frame.
        embedding: float64 [D], length 1.
    """

    source_index: int
    pts_s: float
    embedding: NDArray[np.float64]


@dataclass(frozen=True)
class Embedder:
    """How frames become embeddings.

    Attributes:
        backbone: The network.
        lanes: Where it runs.
        cache: What is known already.
    """

    backbone: Backbone
    lanes: Lanes
    cache: EmbeddingCache


class WatchedVideo:
    """The frames of one video that its items need.

    Frames whose embeddings are known are not decoded, unless they are chosen in the end.

    Args:
        path: The video.
        sha256: Of its bytes.
        times_s: float64 [n], presentation times of all its frames.
        wanted: Positions among ``times_s``.
        embedder: Embeds the frames.
        spool: Keeps pixels until it is known which are wanted.

    Attributes:
        frames: Position to what is shown then. In a damaged video several positions may lead to
            one frame.

    Raises:
        VideoError: The video cannot be read.
        WeightsError: An embedding has no direction, so that it has no cosine to any other.
    """

    def __init__(
        self,
        path: Path,
        sha256: str,
        times_s: NDArray[np.float64],
        wanted: Collection[int],
        embedder: Embedder,
        spool: Spool,
    ) -> None:
        self._path = path
        self._times_s = times_s
        self._spool = spool
        rows = embedder.cache.load(sha256, len(times_s))
        shown = {position: position for position in wanted}
        missing = sorted(set(wanted) - rows.keys())
        if missing:
            watching = _Watching(path, times_s, spool, embedder)
            shown |= watching.watch(missing)
            rows |= watching.rows()
            if not watching.damaged:
                embedder.cache.store(sha256, rows)
        needed = sorted(set(shown.values()))
        units = unit_rows(np.stack([rows[position] for position in needed]))
        seen = {
            position: SeenFrame(position, float(times_s[position]), unit)
            for position, unit in zip(needed, units, strict=True)
        }
        self.frames = {position: seen[place] for position, place in shown.items()}

    def pictures(self, chosen: Collection[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """The pixels of frames, by ``source_index``: uint8 [H, W, 3], RGB, full resolution.

        Those that the spool does not hold are decoded again, in one pass.

        Raises:
            VideoError: The video cannot be read any more.
        """
        again = []
        for position in sorted(chosen):
            image = self._spool.load(position)
            if image is None:
                again.append(position)
            else:
                yield position, image
        if not again:
            return
        with open_video(self._path, threads=1) as video:
            samples = video.at(self._times_s[again].tolist())
            for position, sample in zip(again, samples, strict=True):
                if shown_at(self._times_s, sample.pts_s) != position:
                    raise VideoError(
                        f"{self._path}: its frame at {self._times_s[position]:g} s cannot be "
                        "decoded a second time.",
                        reason="corrupt",
                        hint="Has it changed meanwhile? Run again.",
                    )
                yield position, sample.rgb()


class _Watching:
    """One pass over a video.

    It decodes with one thread: what a damaged video shows must not depend on the machine, and
    several videos are watched at a time.
    """

    def __init__(
        self, path: Path, times_s: NDArray[np.float64], spool: Spool, embedder: Embedder
    ) -> None:
        self._path = path
        self._times_s = times_s
        self._spool = spool
        self._embedder = embedder
        self._positions: list[int] = []
        self._waiting: list[NDArray[np.uint8]] = []
        self._batches: deque[Future[NDArray[np.float32]]] = deque()
        self._embedded: list[NDArray[np.float32]] = []
        self.damaged = False

    def watch(self, positions: list[int]) -> dict[int, int]:
        """Decode what is shown at ascending positions; the position of the frame that each shows.

        Memory holds a few batches of scaled frames, whatever the size and length of the video.
        """
        shown: dict[int, int] = {}
        with open_video(self._path, threads=1) as video:
            for sample in video.at(self._times_s[positions].tolist()):
                place = shown_at(self._times_s, sample.pts_s)
                if not self._positions or self._positions[-1] != place:
                    self._take(place, sample.rgb())
                shown[positions[sample.number]] = place
            self.damaged = video.damage is not None
            if video.errors:
                log.warning("%s: skipped %d corrupt packets", self._path, video.errors)
        self._submit()
        return shown

    def rows(self) -> Rows:
        """Position to embedding of all frames that were shown."""
        self._collect(0)
        return dict(zip(self._positions, np.concatenate(self._embedded), strict=True))

    def _take(self, position: int, image: NDArray[np.uint8]) -> None:
        self._positions.append(position)
        self._spool.keep(position, image)
        # From the full picture, as whoever reads the saved one will scale it.
        self._waiting.append(resize_image(image, self._embedder.backbone.resize))
        if len(self._waiting) == self._embedder.backbone.batch_size:
            self._submit()

    def _submit(self) -> None:
        if self._waiting:
            embedder = self._embedder
            self._batches.append(embedder.lanes.submit(embedder.backbone.encode, self._waiting))
            self._waiting = []
            self._collect(_BATCHES_AHEAD)

    def _collect(self, unfinished: int) -> None:
        while len(self._batches) > unfinished:
            self._embedded.append(self._batches.popleft().result())

"""Which moments of a video become features, and how frame embeddings become rows and clips."""

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.storage.features import ClipRows
from pipeline_lib.video.reader import END_TOLERANCE_S

# Two grids meet at the same moment although k * 0.1 and j / 10 differ in the last bit.
_SAME_MOMENT_S = 1e-7


@dataclass(frozen=True)
class Grid:
    """The moments at which a video is sampled.

    Row k is the frame at ``k * every_s``. Clip i covers ``[i * clip_len_s, (i + 1) * clip_len_s)``
    and samples it at ``fps`` from its start, at least one frame. Everything counts from the first
    presented frame, so nothing drifts with the frame rate.

    Attributes:
        every_s: Seconds from row to row.
        clip_len_s: Seconds of one clip.
        fps: Samples a second inside a clip.
        keep_partial: Keep a last clip that the video fills only partly.
    """

    every_s: float
    clip_len_s: float
    fps: float
    keep_partial: bool


@dataclass(frozen=True)
class _Moment:
    row: bool
    clip: int | None


class VideoFeatures:
    """Collects the frame embeddings of one video and turns them into rows and clips.

    Ask :meth:`times` for the moments to decode, call :meth:`expect` once for every frame handed to
    the network, and :meth:`add` with each embedding in the same order.
    """

    def __init__(self, grid: Grid, dim: int) -> None:
        self._grid = grid
        self._dim = dim
        self._moments: list[_Moment] = []
        self._expected = 0
        self._received = 0
        self._rows: list[NDArray[np.float32]] = []
        self._sums: list[NDArray[np.float64]] = []
        self._counts: list[int] = []

    @property
    def complete(self) -> bool:
        """Every frame handed to the network has come back."""
        return self._received == self._expected

    def times(self) -> Iterator[float]:
        """Endless ascending moments, in seconds; a moment on both grids comes once."""
        previous: tuple[float, _Moment] | None = None
        for time, moment in heapq.merge(
            self._row_times(), self._clip_times(), key=lambda pair: pair[0]
        ):
            if previous is not None and time - previous[0] < _SAME_MOMENT_S:
                clip = previous[1].clip if moment.clip is None else moment.clip
                previous = (previous[0], _Moment(previous[1].row or moment.row, clip))
                continue
            if previous is not None:
                self._moments.append(previous[1])
                yield previous[0]
            previous = (time, moment)

    def _row_times(self) -> Iterator[tuple[float, _Moment]]:
        for k in count():
            yield k * self._grid.every_s, _Moment(True, None)

    def _clip_times(self) -> Iterator[tuple[float, _Moment]]:
        per_clip = max(1, math.ceil(self._grid.clip_len_s * self._grid.fps - 1e-6))
        for i in count():
            for j in range(per_clip):
                yield i * self._grid.clip_len_s + j / self._grid.fps, _Moment(False, i)

    def expect(self) -> None:
        """One more frame is on its way through the network."""
        self._expected += 1

    def add(self, embedding: NDArray[np.float32]) -> None:
        """Take the next embedding, float32 [D]."""
        moment = self._moments[self._received]
        self._received += 1
        if moment.row:
            self._rows.append(embedding)
        if moment.clip is not None:
            if moment.clip == len(self._sums):
                self._sums.append(np.zeros(self._dim, dtype=np.float64))
                self._counts.append(0)
            self._sums[moment.clip] += embedding
            self._counts[moment.clip] += 1

    def rows(self) -> NDArray[np.float32]:
        """float32 [T, D], T = ceil(duration / every_s)."""
        return np.stack(self._rows)

    def clips(self, duration_s: float) -> ClipRows:
        """One mean of un-normalised embeddings a clip, float32 [n, D]."""
        length = self._grid.clip_len_s
        start = np.arange(len(self._sums), dtype=np.float64) * length
        end = np.minimum(start + length, duration_s)
        whole = end - start > length - END_TOLERANCE_S
        keep = whole | self._grid.keep_partial
        means = [
            (total / n).astype(np.float32)
            for total, n in zip(self._sums, self._counts, strict=True)
        ]
        features = np.stack(means) if means else np.zeros((0, self._dim), np.float32)
        valid = np.where(whole, 1.0, (end - start) / length).astype(np.float32)
        counts = np.array(self._counts, dtype=np.int64)
        return ClipRows(features[keep], start[keep], end[keep], counts[keep], valid[keep])

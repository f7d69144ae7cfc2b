"""How the frames of one video become samples of a network, and its features rows and clips."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.extraction.schedule import Stream, spread
from pipeline_lib.storage.features import ClipRows
from pipeline_lib.video.reader import END_TOLERANCE_S

Image = NDArray[np.uint8]
Place = tuple[bool, int | None]


class Collector:
    """The features of one video and one network, while they come in.

    Hand every frame to :meth:`frame` and the end to :meth:`end`; both return the samples that are
    ready for the network. Give each feature back to :meth:`add`, in the same order.

    Args:
        stream: What the network sees.
        dim: Length D of its features.
    """

    def __init__(self, stream: Stream, dim: int) -> None:
        self._wanted = stream.frames_per_clip
        self._grid = stream.grid
        self._dim = dim
        self._waiting: list[Place] = []
        self._parts: list[Image] = []
        self._parts_clip = 0
        self._rows: list[NDArray[np.float32]] = []
        self._sums: list[NDArray[np.float64]] = []
        self._counts: list[int] = []
        self._frames_seen: list[int] = []

    @property
    def complete(self) -> bool:
        """Every sample handed out has come back as a feature."""
        return not self._waiting

    @property
    def has_rows(self) -> bool:
        """The network sees single frames, so there is a feature every second."""
        return self._wanted is None

    def frame(self, image: Image, row: bool, clip: int | None) -> list[Image]:
        """Take one frame; returns the samples it completes, none or one."""
        if self._wanted is None:
            self._waiting.append((row, clip))
            return [image]
        ready = self._sample() if clip != self._parts_clip else []
        self._parts_clip = clip or 0
        self._parts.append(image)
        return ready

    def end(self) -> list[Image]:
        """The video is over; returns the sample that was still open, if any."""
        return self._sample()

    def add(self, feature: NDArray[np.float32]) -> None:
        """Take the next feature, float32 [D]."""
        row, clip = self._waiting.pop(0)
        if row:
            self._rows.append(feature)
        if clip is None:
            return
        if clip == len(self._sums):
            self._sums.append(np.zeros(self._dim, dtype=np.float64))
            self._counts.append(0)
        self._sums[clip] += feature
        self._counts[clip] += 1

    def rows(self) -> NDArray[np.float32] | None:
        """float32 [T, D], T = ceil(duration / every_s); ``None`` for a clip network."""
        return np.stack(self._rows) if self.has_rows else None

    def clips(self, facts: dict[str, Any], keep_partial: bool) -> ClipRows:
        """One feature a clip: the network's own, or the mean of its frames'.

        Args:
            facts: What the decoder told at the end: ``duration_s``, and ``clip_bounds`` where clips
                were cut by frame count.
            keep_partial: Keep a last clip that the video fills only partly.
        """
        length, duration_s = self._grid.clip_len_s, float(facts["duration_s"])
        n = len(self._sums)
        if self._grid.boundaries == "frame_count":
            bounds = np.array(facts["clip_bounds"], dtype=np.float64).reshape(-1, 2)[:n]
            start, end = bounds[:, 0], np.minimum(bounds[:, 1], duration_s)
            whole = np.ones(n, dtype=bool)
        else:
            start = np.arange(n, dtype=np.float64) * length
            end = np.minimum(start + length, duration_s)
            whole = end - start > length - END_TOLERANCE_S
        keep = whole | keep_partial
        means = [
            (total / samples).astype(np.float32)
            for total, samples in zip(self._sums, self._counts, strict=True)
        ]
        features = np.stack(means) if means else np.zeros((0, self._dim), np.float32)
        valid = np.where(whole, 1.0, (end - start) / length).astype(np.float32)
        counts = np.array(self._frames_seen if self._wanted else self._counts, dtype=np.int64)
        return ClipRows(features[keep], start[keep], end[keep], counts[keep], valid[keep])

    def _sample(self) -> list[Image]:
        if not self._parts:
            return []
        parts, self._parts = self._parts, []
        self._waiting.append((False, self._parts_clip))
        self._frames_seen.append(len(parts))
        # A video that ends early leaves fewer frames than planned; they are spread again.
        return [np.stack([parts[index] for index in spread(len(parts), self._wanted or 1)])]

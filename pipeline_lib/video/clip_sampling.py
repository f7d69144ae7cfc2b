"""Which frames of a video a clip consists of: arithmetic of frame numbers, without a video.

The rules are those of VideoMamba's video training (https://github.com/OpenGVLab/VideoMamba),
``video_sm/datasets``; the middle clip of one segment is what validation sees.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.video.reader import TIME_TOLERANCE_S

Rule = Literal["sparse", "dense", "segments"]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class ClipSampling:
    """How clips are taken out of a video, or out of a window of one.

    Attributes:
        rule: ``sparse`` takes one frame of each of equal parts, whose ends neighbours share;
            ``segments`` does so as TSN, in parts of a whole number of frames; ``dense`` takes a
            run of frames ``rate`` apart.
        frames: Frames of a clip.
        rate: Of ``dense``.
    """

    rule: Rule
    frames: int
    rate: int = 1

    def draw(self, count: int, rng: np.random.Generator) -> Indices:
        """A random clip of ``count`` frames: int64 [frames], ascending, all below ``count``."""
        first, last = self._choices(count)
        if self.rule == "dense":
            return self._run(int(rng.integers(first[0], last[0], endpoint=True)), count)
        return rng.integers(first, last, endpoint=True)

    def test(self, count: int, segment: int = 0, segments: int = 1) -> Indices:
        """One of ``segments`` clips that are always the same; a single one is in the middle.

        Args:
            count: Frames there are.
            segment: Which clip, from 0.
            segments: How many clips.

        Returns:
            int64 [frames], ascending, all below ``count``.
        """
        _check(count)
        if not 0 <= segment < segments:
            raise ValueError(f"Clip {segment} of {segments}.")
        places = np.arange(self.frames)
        if self.rule == "dense":
            _, [last] = self._choices(count)
            starts = [last / 2] if segments == 1 else np.linspace(0, last, segments)
            return self._run(int(starts[segment]), count)
        if self.rule == "segments":
            part = count / self.frames
            into = 0.5 if segments == 1 else segment / segments
            return (part * into + part * places).astype(np.int64)
        part = (count - 1) / self.frames
        into = int(part / (segments + 1) * (segment + 1))
        return np.minimum(np.round(part * places).astype(np.int64) + into, count - 1)

    def candidates(self, count: int, draws: int) -> Indices:
        """What training may draw where only some frames are kept.

        Args:
            count: Frames there are.
            draws: Candidates for each frame of a clip.

        Returns:
            int64 [frames, draws]: for each frame ``draws`` of those that :meth:`draw` could take,
            at even distances; of ``dense``, each column is a clip.
        """
        first, last = self._choices(count)
        steps = 2 * np.arange(draws, dtype=np.int64) + 1
        spread = first[:, None] + (last - first + 1)[:, None] * steps // (2 * draws)
        if self.rule == "dense":
            return np.stack([self._run(int(start), count) for start in spread[0]], axis=1)
        return spread

    def draw_candidates(self, candidates: Indices, rng: np.random.Generator) -> Indices:
        """A random clip of what :meth:`candidates` gave: int64 [frames], ascending."""
        rows = np.arange(self.frames)
        draws = candidates.shape[1]
        if self.rule == "dense":
            return candidates[:, rng.integers(draws)]
        return candidates[rows, rng.integers(draws, size=self.frames)]

    def _choices(self, count: int) -> tuple[Indices, Indices]:
        """First and last choice for each frame; of ``dense``, for the start of the run."""
        _check(count)
        places = np.arange(self.frames, dtype=np.int64)
        if self.rule == "dense":
            return np.zeros(1, np.int64), np.array([max(0, count - self.frames * self.rate)])
        if self.rule == "segments":
            part = count // self.frames
            if not part:
                # Too few for a choice: all of them, some more than once.
                few = places * count // self.frames
                return few, few
            return places * part, places * part + part - 1
        ends = np.round((count - 1) / self.frames * np.arange(self.frames + 1)).astype(np.int64)
        return ends[:-1], np.minimum(ends[1:], count - 1)

    def _run(self, start: int, count: int) -> Indices:
        """Frames ``rate`` apart; behind the end the last one repeats."""
        return np.minimum(start + self.rate * np.arange(self.frames, dtype=np.int64), count - 1)


def trimmed_windows(
    duration_s: float, length_s: float, stride_s: float
) -> list[tuple[float, float]]:
    """Start and end of the windows that a long video is cut into, in seconds.

    A window that the end of the video cuts off counts if at least half of it is there; a video
    shorter than a window is one.

    Args:
        duration_s: Of the video.
        length_s: Of a window.
        stride_s: From one start to the next.
    """
    if duration_s < length_s:
        return [(0.0, float(duration_s))]
    starts = np.arange(0, int(duration_s), stride_s).tolist()
    ends = [min(start + length_s, duration_s) for start in starts]
    return [
        (float(start), float(end))
        for start, end in zip(starts, ends, strict=True)
        if end - start >= length_s / 2
    ]


def window_frames(
    times_s: NDArray[np.float64], start_s: float, end_s: float | None
) -> tuple[int, int]:
    """The frames shown in a window, the one at its very end included.

    Args:
        times_s: When each frame of the video is shown, ascending from 0.
        start_s: Where the window begins.
        end_s: Where it ends; ``None`` is the end of the video.

    Returns:
        Number of the first one, and how many there are.
    """
    first = _shown_at(times_s, start_s)
    last = len(times_s) - 1 if end_s is None else _shown_at(times_s, end_s)
    return first, last - first + 1


def _shown_at(times_s: NDArray[np.float64], time_s: float) -> int:
    place = np.searchsorted(times_s, time_s + TIME_TOLERANCE_S, side="right")
    return max(0, int(place) - 1)


def _check(count: int) -> None:
    if count < 1:
        raise ValueError(f"No clip of {count} frames.")

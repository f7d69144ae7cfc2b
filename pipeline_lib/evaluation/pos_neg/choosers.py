"""Who chooses frames: the fine-tuned model, and what it has to beat."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.config import FrameSegments
from pipeline_lib.metrics.frame_choice import choose_frames, cut_timeline
from pipeline_lib.runtime.seeding import numpy_stream

FINE_TUNED = "fine_tuned"
ZERO_SHOT = "zero_shot"
UNIFORM = "uniform"
CHANCE = "chance"
SHUFFLED = "shuffled"
CONTROLS = (ZERO_SHOT, UNIFORM, CHANCE, SHUFFLED)
CHOOSERS = (FINE_TUNED, *CONTROLS)
STREAM = "evaluate pos_neg"


@dataclass(frozen=True)
class Choice:
    """The frames that one chooser takes of a video for one caption, or for any.

    Attributes:
        chooser: One of ``CHOOSERS``.
        draw: Repetition of ``CHANCE``, from 0; 0 for the others.
        positions: Number of wanted frames to positions among the sampled ones, int64, ascending.
        scores: float64 [n], the scores of all sampled frames; ``None`` where none were needed.
    """

    chooser: str
    draw: int
    positions: Mapping[int, NDArray[np.int64]]
    scores: NDArray[np.float64] | None = None


def by_scores(
    chooser: str, scores: NDArray[np.float64], counts: Iterable[int], segments: FrameSegments
) -> Choice:
    """The best-scored frame of each part of the timeline, for each number of parts."""
    positions = {k: choose_frames(scores, k, segments) for k in counts}
    return Choice(chooser, 0, positions, scores)


def without_scores(
    frames: int, counts: Iterable[int], segments: FrameSegments, draws: int, video: str
) -> list[Choice]:
    """The choices that look at nothing: the middle of each part, and random draws.

    Args:
        frames: Sampled frames of the video.
        counts: Numbers of wanted frames.
        segments: How the timeline is cut.
        draws: Repetitions of the random choice.
        video: Names its random streams, so that they do not depend on other videos.
    """
    parts = {k: cut_timeline(frames, k, segments) for k in counts}
    middles = {k: _indices((a + b - 1) // 2 for a, b in cut) for k, cut in parts.items()}
    choices = [Choice(UNIFORM, 0, middles)]
    for draw in range(draws):
        drawn = {}
        for k, cut in parts.items():
            stream = numpy_stream(STREAM, CHANCE, video, k, draw)
            drawn[k] = _indices(int(stream.integers(a, b)) for a, b in cut)
        choices.append(Choice(CHANCE, draw, drawn))
    return choices


def _indices(values: Iterable[int]) -> NDArray[np.int64]:
    return np.fromiter(values, dtype=np.int64)

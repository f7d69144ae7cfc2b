"""Which candidates differ enough from every true frame to be negatives."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.config import MineConfig

# Embeddings are float32; digits beyond these are rounding noise, and two equal frames must not
# pass for different ones through it.
_DECIMALS = 6


def max_cosine(embedding: NDArray[np.float64], true: Sequence[NDArray[np.float64]]) -> float:
    """The largest cosine of a frame to any true frame, rounded to six decimals.

    Args:
        embedding: float64 [D], length 1.
        true: At least one, each float64 [D], length 1.
    """
    # Elementwise sums, not a matrix product: its bits would depend on how many rows it has.
    return max(round(float((embedding * other).sum()), _DECIMALS) for other in true)


def select(
    segments: Sequence[int], frames: Sequence[int], cosines: Sequence[float], config: MineConfig
) -> list[int]:
    """Choose negatives among candidates.

    Args:
        segments: Segment of each candidate, in the order of the draws.
        frames: Its place among the frames of the video.
        cosines: Its largest cosine to a true frame; a negative's is below ``threshold``.
        config: Of each segment at most ``frames_per_segment`` are taken: with ``strategy: random``
            the first that pass, with ``hard`` those most similar to a true frame, the earlier
            one of equals.

    Returns:
        Positions of the chosen candidates in the order of time.
    """
    order: Sequence[int] = range(len(frames))
    if config.strategy == "hard":
        order = sorted(order, key=lambda k: (-cosines[k], frames[k]))
    kept: Counter[int] = Counter()
    chosen = []
    for k in order:
        if cosines[k] < config.threshold and kept[segments[k]] < config.frames_per_segment:
            kept[segments[k]] += 1
            chosen.append(k)
    return sorted(chosen, key=lambda k: frames[k])

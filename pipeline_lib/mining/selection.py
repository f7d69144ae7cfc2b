"""Which candidates differ enough from every true frame to be negatives."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

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
    segments: Sequence[int], cosines: Sequence[float], *, threshold: float, per_segment: int
) -> list[int]:
    """Choose negatives among candidates.

    Args:
        segments: Segment of each candidate, in the order of the draws.
        cosines: Its largest cosine to a true frame.
        threshold: A negative's cosine is below this.
        per_segment: At most so many of each segment: the first that pass.

    Returns:
        Positions of the chosen candidates, ascending.
    """
    kept: Counter[int] = Counter()
    chosen = []
    for position, (segment, cosine) in enumerate(zip(segments, cosines, strict=True)):
        if cosine < threshold and kept[segment] < per_segment:
            kept[segment] += 1
            chosen.append(position)
    return chosen

"""Sim-m: the share of items of which every true frame has a similar chosen frame.

The scripts that this pipeline follows ask for one threshold m at a time whether each true frame
has a chosen frame of at least that cosine. That holds up to one cosine, the weakest of the true
frames' best matches, so all thresholds follow from a single number an item.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def weakest_match(cosines: ArrayLike) -> float | None:
    """The largest m at which an item counts: min over true of max over chosen frames.

    Args:
        cosines: Float [true, chosen], the cosine of each true frame with each chosen one.

    Returns:
        ``None`` without true frames, where there is nothing to find; ``-inf``, a miss at every m,
        where none was chosen.
    """
    table = np.asarray(cosines, dtype=np.float64)
    if not len(table):
        return None
    return float(table.max(axis=1, initial=-np.inf).min())


def sim_m(weakest: Sequence[float | None], thresholds: Sequence[float]) -> list[float | None]:
    """Sim-m at each threshold.

    Args:
        weakest: :func:`weakest_match` of each item; ``None`` is left out.
        thresholds: Values of m.

    Returns:
        One share in [0, 1] a threshold, falling where m rises; ``None`` where no item is left.
    """
    defined = np.array([value for value in weakest if value is not None], dtype=np.float64)
    if not len(defined):
        return [None] * len(thresholds)
    return [float((defined >= m).mean()) for m in thresholds]

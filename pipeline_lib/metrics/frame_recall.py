"""How well chosen frames find the moments that answer a question."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline_lib.video.reader import TIME_TOLERANCE_S


def frame_recall(chosen_s: ArrayLike, support_s: ArrayLike, tolerance_s: float) -> float | None:
    """Share of the support times that a chosen frame is near to.

    Args:
        chosen_s: Float [c], when the chosen frames are first shown.
        support_s: Float [s], the moments that answer the question.
        tolerance_s: Largest distance, inclusive; container clocks round, as the reader allows for.

    Returns:
        ``None`` without support times; 0 where nothing was chosen.
    """
    near = _near(chosen_s, support_s, tolerance_s)
    return float(near.any(axis=0).mean()) if near.shape[1] else None


def frame_precision(chosen_s: ArrayLike, support_s: ArrayLike, tolerance_s: float) -> float | None:
    """Share of the chosen frames that a support time is near to.

    Args:
        chosen_s: Float [c], when the chosen frames are first shown.
        support_s: Float [s], the moments that answer the question.
        tolerance_s: Largest distance, inclusive.

    Returns:
        ``None`` where nothing was chosen, or nothing could be found.
    """
    near = _near(chosen_s, support_s, tolerance_s)
    return float(near.any(axis=1).mean()) if near.size else None


def _near(chosen_s: ArrayLike, support_s: ArrayLike, tolerance_s: float) -> NDArray[np.bool_]:
    """Boolean [c, s]."""
    chosen = np.asarray(chosen_s, dtype=np.float64).reshape(-1, 1)
    support = np.asarray(support_s, dtype=np.float64).reshape(1, -1)
    near: NDArray[np.bool_] = np.abs(chosen - support) <= tolerance_s + TIME_TOLERANCE_S
    return near

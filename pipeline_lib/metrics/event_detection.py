"""How well a score tells the inside of events from everything else, window by window."""

import numpy as np
from sklearn.metrics import average_precision_score

from pipeline_lib.metrics.classification import binary_auc


def event_detection(inside: np.ndarray, scores: np.ndarray) -> dict[str, float | None]:
    """Area under the ROC curve and average precision of detecting events in time.

    Args:
        inside: Whether a window overlaps an annotated event, boolean [n].
        scores: How abnormal a window looks, float [n].

    Returns:
        ``auc`` and ``average_precision``; ``None`` where all windows are inside or none is.
    """
    value = binary_auc(inside, scores)
    precision = None if value is None else float(average_precision_score(inside, scores))
    return {"auc": value, "average_precision": precision}

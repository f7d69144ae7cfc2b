"""How well a score tells anomalous samples from all others, whatever the samples are."""

import numpy as np
from sklearn.metrics import (
    f1_score,
    precision_recall_curve,
    precision_score,
    recall_score,
    roc_curve,
)

from pipeline_lib.metrics.classification import binary_auc, binary_average_precision

Points = tuple[np.ndarray, np.ndarray]

MOST_POINTS = 500


def ranking(positive: np.ndarray, scores: np.ndarray) -> dict[str, float | None]:
    """Area under the ROC curve and average precision.

    Args:
        positive: Boolean [n].
        scores: Float [n]; positives should have the larger ones.

    Returns:
        ``auc`` and ``average_precision``; ``None`` where all samples are positive or none is.
    """
    return {
        "auc": binary_auc(positive, scores),
        "average_precision": binary_average_precision(positive, scores),
    }


def youden_threshold(positive: np.ndarray, scores: np.ndarray) -> float | None:
    """The score from which on calling a sample positive has the largest TPR - FPR.

    Youden's index (Youden, Cancer 1950). Among equally good thresholds it is the highest one, so
    that less is called positive.

    Args:
        positive: Boolean [n].
        scores: Float [n].

    Returns:
        One of ``scores``, or ``None`` where all samples are positive or none is.
    """
    if positive.all() or not positive.any():
        return None
    fpr, tpr, thresholds = roc_curve(positive, scores)
    # The first threshold is infinite: nothing is positive there.
    return float(thresholds[1:][np.argmax((tpr - fpr)[1:])])


def at_threshold(
    positive: np.ndarray, scores: np.ndarray, threshold: float
) -> dict[str, float | None]:
    """Precision, recall and F1 of calling positive whatever scores at least ``threshold``.

    Args:
        positive: Boolean [n].
        scores: Float [n].
        threshold: Smallest score of a sample that is called positive.

    Returns:
        ``precision`` (``None`` where nothing is called positive), ``recall`` and ``f1`` (``None``
        where no sample is positive).
    """
    called = scores >= threshold
    exists = bool(positive.any())
    return {
        "precision": float(precision_score(positive, called)) if called.any() else None,
        "recall": float(recall_score(positive, called)) if exists else None,
        "f1": float(f1_score(positive, called)) if exists else None,
    }


def roc_points(positive: np.ndarray, scores: np.ndarray, most: int = MOST_POINTS) -> Points:
    """The ROC curve: false positive rates and true positive rates, both ascending.

    Args:
        positive: Boolean [n].
        scores: Float [n].
        most: Points that are kept, evenly along the curve; the two ends always are.

    Returns:
        Two arrays of one length, empty where the curve is undefined.
    """
    if positive.all() or not positive.any():
        return np.zeros(0), np.zeros(0)
    fpr, tpr, _ = roc_curve(positive, scores)
    return _thinned(fpr, tpr, most)


def precision_recall_points(
    positive: np.ndarray, scores: np.ndarray, most: int = MOST_POINTS
) -> Points:
    """The precision-recall curve: ascending recalls, and the precision at each.

    It begins at recall 0 with precision 1, as scikit-learn draws it.

    Args:
        positive: Boolean [n].
        scores: Float [n].
        most: Points that are kept, evenly along the curve; the two ends always are.

    Returns:
        Two arrays of one length, empty where the curve is undefined.
    """
    if positive.all() or not positive.any():
        return np.zeros(0), np.zeros(0)
    precision, recall, _ = precision_recall_curve(positive, scores, drop_intermediate=True)
    return _thinned(recall[::-1], precision[::-1], most)


def _thinned(x: np.ndarray, y: np.ndarray, most: int) -> Points:
    """At most ``most`` points, at even steps along the curve: steep parts keep theirs."""
    if len(x) <= most:
        return x, y
    way = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    kept = np.searchsorted(way, np.linspace(0.0, way[-1], most))
    kept = np.unique(np.append(np.minimum(kept, len(x) - 1)[:-1], len(x) - 1))
    return x[kept], y[kept]

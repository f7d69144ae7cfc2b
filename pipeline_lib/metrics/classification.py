"""Metrics of predicted classes. What a set of samples does not define is ``None``, never 0.

A class without samples has no recall, no F1 and no ROC curve: it is ``None`` by itself and is left
out of averages. scikit-learn computes everything that it computes.
"""

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    recall_score,
    roc_auc_score,
)

from pipeline_lib.metrics.predictions import Predictions


def accuracy(predictions: Predictions) -> float | None:
    """Share of samples whose predicted class is the true one."""
    if not predictions.present:
        return None
    return float(accuracy_score(predictions.labels, predictions.predicted))


def recall(predictions: Predictions) -> dict[str, float | None]:
    """Recall of each class: the share of its samples that were recognised."""
    if not predictions.present:
        return dict.fromkeys(predictions.class_names)
    values = recall_score(
        predictions.labels,
        predictions.predicted,
        labels=range(len(predictions.class_names)),
        average=None,
        zero_division=np.nan,
    )
    return {
        name: None if np.isnan(value) else float(value)
        for name, value in zip(predictions.class_names, values, strict=True)
    }


def balanced_accuracy(predictions: Predictions) -> float | None:
    """Mean recall over the classes that have samples."""
    return _mean(recall(predictions))


def macro_f1(predictions: Predictions) -> float | None:
    """Mean F1 over the classes that have samples."""
    if not predictions.present:
        return None
    return float(
        f1_score(
            predictions.labels, predictions.predicted, labels=predictions.present, average="macro"
        )
    )


def auc(predictions: Predictions) -> dict[str, float | None]:
    """Area under the ROC curve of each class against the rest, by its probability."""
    return {
        name: binary_auc(predictions.labels == index, predictions.probabilities[:, index])
        for index, name in enumerate(predictions.class_names)
    }


def macro_auc(predictions: Predictions) -> float | None:
    """Mean one-vs-rest area under the ROC curve over the classes where it is defined."""
    return _mean(auc(predictions))


def confusion(predictions: Predictions) -> np.ndarray:
    """Counts of actual (rows) against predicted classes (columns), int64 [C, C]."""
    classes = range(len(predictions.class_names))
    if not predictions.present:
        return np.zeros((len(classes), len(classes)), dtype=np.int64)
    counts = confusion_matrix(predictions.labels, predictions.predicted, labels=classes)
    return np.asarray(counts, dtype=np.int64)


def binary_auc(positive: np.ndarray, scores: np.ndarray) -> float | None:
    """Area under the ROC curve, or ``None`` where all samples are positive or none is.

    Args:
        positive: Boolean [n].
        scores: Float [n]; positives should have the larger ones.
    """
    if positive.all() or not positive.any():
        return None
    return float(roc_auc_score(positive, scores))


def _mean(by_class: dict[str, float | None]) -> float | None:
    defined = [value for value in by_class.values() if value is not None]
    return float(np.mean(defined)) if defined else None

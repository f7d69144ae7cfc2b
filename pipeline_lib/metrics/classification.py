"""Metrics of predicted classes. What a set of samples does not define is ``None``, never 0.

A class without samples has no recall, no F1 and no curve: it is ``None`` by itself and is left out
of averages. A class that is never predicted has no precision. scikit-learn computes everything
that it computes.
"""

from collections.abc import Callable
from functools import wraps

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from pipeline_lib.metrics.predictions import Predictions

ByClass = dict[str, float | None]
_PerClass = Callable[[Predictions], ByClass]


def _once(metric: _PerClass) -> _PerClass:
    """A metric of each class that is computed once for the same predictions."""

    @wraps(metric)
    def remembered(predictions: Predictions) -> ByClass:
        return dict(predictions.once(metric))

    return remembered


def accuracy(predictions: Predictions) -> float | None:
    """Share of samples whose predicted class is the true one."""
    if not predictions.present:
        return None
    return float(accuracy_score(predictions.labels, predictions.predicted))


def top_k_accuracy(predictions: Predictions, k: int) -> float | None:
    """Share of samples whose true class is among the ``k`` of the largest probabilities.

    Of equal probabilities the first class counts as the larger one, as where one is predicted.
    ``None`` also where there are no more than ``k`` classes, so that every answer would be right.
    """
    if not predictions.present or len(predictions.class_names) <= k:
        return None
    ranked = np.argsort(-predictions.probabilities, axis=1, kind="stable")[:, :k]
    return float((ranked == predictions.labels[:, None]).any(axis=1).mean())


@_once
def recall(predictions: Predictions) -> ByClass:
    """Recall of each class: the share of its samples that were recognised."""
    return _by_class(recall_score, predictions)


@_once
def precision(predictions: Predictions) -> ByClass:
    """Precision of each class: the share of the samples predicted as it that are of it."""
    return _by_class(precision_score, predictions)


@_once
def f1(predictions: Predictions) -> ByClass:
    """F1 of each class, the harmonic mean of precision and recall; 0 where none was recognised."""
    present = {predictions.class_names[index] for index in predictions.present}
    values = _by_class(f1_score, predictions)
    return {name: value if name in present else None for name, value in values.items()}


def balanced_accuracy(predictions: Predictions) -> float | None:
    """Mean recall over the classes that have samples."""
    return _mean(recall(predictions))


def macro_f1(predictions: Predictions) -> float | None:
    """Mean F1 over the classes that have samples."""
    return _mean(f1(predictions))


def weighted_f1(predictions: Predictions) -> float | None:
    """Mean F1 over the classes, each weighted by its number of samples."""
    if not predictions.present:
        return None
    labels, predicted = predictions.labels, predictions.predicted
    return float(f1_score(labels, predicted, labels=predictions.present, average="weighted"))


@_once
def auc(predictions: Predictions) -> ByClass:
    """Area under the ROC curve of each class against the rest, by its probability."""
    return _ranked(binary_auc, predictions)


@_once
def average_precision(predictions: Predictions) -> ByClass:
    """Average precision of each class against the rest, by its probability."""
    return _ranked(binary_average_precision, predictions)


def macro_auc(predictions: Predictions) -> float | None:
    """Mean one-vs-rest area under the ROC curve over the classes where it is defined."""
    return _mean(auc(predictions))


def mean_average_precision(predictions: Predictions) -> float | None:
    """Mean one-vs-rest average precision (mAP) over the classes where it is defined."""
    return _mean(average_precision(predictions))


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
    return float(roc_auc_score(positive, scores)) if _has_both(positive) else None


def binary_average_precision(positive: np.ndarray, scores: np.ndarray) -> float | None:
    """Average precision, or ``None`` where all samples are positive or none is.

    Args:
        positive: Boolean [n].
        scores: Float [n]; positives should have the larger ones.
    """
    return float(average_precision_score(positive, scores)) if _has_both(positive) else None


def _has_both(positive: np.ndarray) -> bool:
    return bool(positive.any() and not positive.all())


def _by_class(metric: Callable[..., np.ndarray], predictions: Predictions) -> ByClass:
    """A metric of scikit-learn for each of the C classes, in their order."""
    names = predictions.class_names
    if not predictions.present:
        return dict.fromkeys(names)
    values = metric(
        predictions.labels,
        predictions.predicted,
        labels=range(len(names)),
        average=None,
        zero_division=np.nan,
    )
    return {
        name: None if np.isnan(value) else float(value)
        for name, value in zip(names, values, strict=True)
    }


def _ranked(
    metric: Callable[[np.ndarray, np.ndarray], float | None], predictions: Predictions
) -> ByClass:
    return {
        name: metric(predictions.labels == index, predictions.probabilities[:, index])
        for index, name in enumerate(predictions.class_names)
    }


def _mean(by_class: ByClass) -> float | None:
    defined = [value for value in by_class.values() if value is not None]
    return float(np.mean(defined)) if defined else None

"""The numbers of an evaluation: the trained network's, its controls', and the gain over them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.evaluation.videomamba.answers import (
    CHANCE,
    CONSTANT,
    MAJORITY,
    TRAINED,
    ZERO,
    AnsweredSplit,
    Labels,
)
from pipeline_lib.metrics.classification import (
    accuracy,
    balanced_accuracy,
    recall,
    top_k_accuracy,
)
from pipeline_lib.metrics.grouped_mean import mean_and_error
from pipeline_lib.metrics.predictions import Predictions
from pipeline_lib.metrics.regression import measure_values

Tree = dict[str, Any]
Rows = NDArray[np.float64]
LEVELS = ("video", "view")
_TOP = 5


def split_tree(answered: AnsweredSplit) -> Tree:
    """Metrics of one split.

    Returns:
        Counts; ``video`` and ``view``, of merged and of single answers: ``accuracy``,
        ``balanced_accuracy`` and ``top5_accuracy``, or ``mse``, ``mae``, ``pearson`` and
        ``spearman`` of values; ``video.recall`` by class; ``control`` with the same names;
        ``gain``, by control the mean of the videos' differences and its standard error, of
        ``accuracy`` or of the squared error, where positive is better. ``None`` where undefined.
    """
    trained = answered.answers[TRAINED]
    tree: Tree = {
        "videos": len(answered.videos),
        "views": int(trained.merged.views.sum()),
        "missing": len(answered.clips.missing),
        **_levels(answered, TRAINED),
    }
    if answered.class_names is not None:
        tree["video"]["recall"] = recall(video_predictions(answered, TRAINED))
    watching = {name: _levels(answered, name) for name in answered.answers if name != TRAINED}
    tree["control"] = _blind_controls(answered) | watching
    tree["gain"] = {name: _gain(answered, name) for name in watching}
    return tree


def video_predictions(answered: AnsweredSplit, name: str) -> Predictions:
    """What a contender names the videos, for classes."""
    return _predictions(answered, answered.answers[name].merged.rows, answered.video_labels)


def hits_or_errors(answered: AnsweredSplit, name: str) -> NDArray[np.float64]:
    """Of each video 1 where it is named rightly, else 0; or the squared error of its value."""
    if answered.class_names is not None:
        named = video_predictions(answered, name)
        return (named.predicted == named.labels).astype(np.float64)
    values = answered.answers[name].merged.rows[:, 0]
    return np.asarray((values - answered.video_labels) ** 2)


def _levels(answered: AnsweredSplit, name: str) -> Tree:
    answers = answered.answers[name]
    return {
        "video": _measured(answered, answers.merged.rows, answered.video_labels),
        "view": _measured(answered, answers.rows, answered.labels_of(answers.videos)),
    }


def _measured(answered: AnsweredSplit, rows: Rows, labels: Labels) -> Tree:
    if answered.class_names is None:
        return dict(measure_values(rows[:, 0], labels))
    predictions = _predictions(answered, rows, labels)
    return {
        "accuracy": accuracy(predictions),
        "balanced_accuracy": balanced_accuracy(predictions),
        "top5_accuracy": top_k_accuracy(predictions, _TOP),
    }


def _predictions(answered: AnsweredSplit, rows: Rows, labels: Labels) -> Predictions:
    predicted = rows.argmax(axis=1).astype(np.int64)
    return Predictions(labels, predicted, rows, answered.class_names or ())


def _blind_controls(answered: AnsweredSplit) -> Tree:
    """Answers that are the same for every video."""
    names, known = answered.class_names, answered.train_labels
    fixed: dict[str, NDArray[np.float64]] = {}
    if names is None:
        fixed[ZERO] = np.zeros(1)
        if known is not None:
            fixed[CONSTANT] = np.array([known.mean()])
    elif known is not None:
        fixed[MAJORITY] = np.bincount(known, minlength=len(names)) / len(known)
    tree = {} if names is None else {CHANCE: dict.fromkeys(LEVELS, _guessing(len(names)))}
    for name, row in fixed.items():
        tree[name] = {level: _constant(answered, row, level) for level in LEVELS}
    return tree


def _guessing(classes: int) -> Tree:
    """What guessing uniformly is expected to reach."""
    share = 1.0 / classes
    top = _TOP * share if classes > _TOP else None
    return {"accuracy": share, "balanced_accuracy": share, "top5_accuracy": top}


def _constant(answered: AnsweredSplit, row: NDArray[np.float64], level: str) -> Tree:
    trained = answered.answers[TRAINED]
    of = answered.videos if level == "video" else trained.videos
    labels = answered.labels_of(of)
    return _measured(answered, np.tile(row, (len(labels), 1)), labels)


def _gain(answered: AnsweredSplit, control: str) -> Tree:
    own, others = (hits_or_errors(answered, name) for name in (TRAINED, control))
    metric = "mse" if answered.class_names is None else "accuracy"
    change = others - own if metric == "mse" else own - others
    mean, error = mean_and_error(change.tolist(), answered.videos)
    return {metric: {"mean": mean, "se": error}}

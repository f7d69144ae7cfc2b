"""What a number must beat: answers that look at no video."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline_lib.evaluation.coop.labelled_windows import LabelledWindows
from pipeline_lib.evaluation.coop.seconds import Seconds


def chance(windows: LabelledWindows, seconds: Seconds) -> dict[str, Any]:
    """What guessing uniformly over the model's classes is expected to reach.

    Ranking at random, the area under a ROC curve is 1/2 and average precision the share of
    positives.

    Args:
        windows: The windows of a split.
        seconds: Its seconds.
    """
    labels = {
        "frame": windows.labels,
        "event_frame": windows.labels[windows.overlaps_event],
        "video": windows.video_labels,
    }
    classes = len(windows.class_names)
    tree: dict[str, Any] = {level: _guessing(found, classes) for level, found in labels.items()}
    if windows.normal is not None:
        abnormal = windows.video_labels != windows.normal
        auc = _half(seconds.positive)
        tree["anomaly"] = {
            "auc": auc,
            "average_precision": None if auc is None else float(seconds.positive.mean()),
            "auc_within_event_videos": _half(seconds.positive[seconds.of_event_videos]),
            "video_auc": _half(abnormal),
        }
    return tree


def majority_class(
    train_windows: Mapping[str, int] | None, class_names: tuple[str, ...]
) -> int | None:
    """Index of the class most training windows have, the first of equals.

    Args:
        train_windows: Training windows of each class, as a checkpoint says.
        class_names: The model's classes.

    Returns:
        ``None`` where the checkpoint does not say, as one that was not trained here.
    """
    counts = [(train_windows or {}).get(name, 0) for name in class_names]
    return int(np.argmax(counts)) if any(counts) else None


def _guessing(labels: np.ndarray, classes: int) -> dict[str, float | None]:
    shares = np.bincount(labels, minlength=classes) / max(len(labels), 1)
    ranked = shares[(shares > 0) & (shares < 1)]
    share = 1.0 / classes if len(labels) else None
    return {
        "accuracy": share,
        "balanced_accuracy": share,
        "macro_auc": 0.5 if len(ranked) else None,
        "mean_average_precision": float(ranked.mean()) if len(ranked) else None,
    }


def _half(positive: np.ndarray) -> float | None:
    return None if positive.all() or not positive.any() else 0.5

"""What a number must beat: answers that need no trained prompt."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from pipeline_lib.evaluation.labelled_windows import LabelledWindows
from pipeline_lib.evaluation.scoring import LEVELS


def chance(windows: LabelledWindows) -> dict[str, Any]:
    """What guessing uniformly over the model's classes is expected to reach."""
    share = 1.0 / len(windows.class_names)
    level = {"accuracy": share, "balanced_accuracy": share, "macro_auc": 0.5}
    tree: dict[str, Any] = {name: dict(level) for name in LEVELS}
    if windows.normal is not None:
        inside = windows.overlaps_event[windows.searchable]
        defined = inside.any() and not inside.all()
        tree["event_detection"] = {
            "auc": 0.5,
            "average_precision": float(inside.mean()) if defined else None,
        }
    return tree


def majority_class(train_labels: Iterable[str], class_names: tuple[str, ...]) -> int | None:
    """Index of the class most training windows have, the first of equals.

    Args:
        train_labels: Labels of the kept training windows.
        class_names: The model's classes.

    Returns:
        ``None`` where no training window is known, as when only the test split was copied.
    """
    labels = np.array(list(train_labels), dtype=str)
    counts = [int((labels == name).sum()) for name in class_names]
    return int(np.argmax(counts)) if any(counts) else None


def constant_logits(windows: LabelledWindows, always: int) -> np.ndarray:
    """Logits of a model that answers ``always`` whatever it sees, float64 [n, C]."""
    return np.tile(np.eye(len(windows.class_names))[always], (len(windows.labels), 1))

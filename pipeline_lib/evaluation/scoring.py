"""From window logits to every number of one split, for a model and for its controls alike."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline_lib.evaluation.labelled_windows import LabelledWindows
from pipeline_lib.metrics import measure
from pipeline_lib.metrics.event_detection import event_detection
from pipeline_lib.metrics.pooling import Pooling, pool_videos
from pipeline_lib.metrics.predictions import Predictions

Tree = dict[str, Any]

LEVELS = ("frame", "event_frame", "video")


@dataclass(frozen=True)
class Scores:
    """Predictions of one split.

    Attributes:
        frame: One sample a window.
        event_frame: Only the windows that overlap an annotated event: the others of an event
            video may carry its class without showing it.
        video: One sample a video.
        abnormality: Log odds that a window is not normal, float64 [n]; ``None`` where the model
            has no class without events.
    """

    frame: Predictions
    event_frame: Predictions
    video: Predictions
    abnormality: np.ndarray | None


def score(windows: LabelledWindows, logits: np.ndarray, pooling: Pooling) -> Scores:
    """Predict windows and videos from window logits.

    Args:
        windows: The n windows.
        logits: Float [n, C].
        pooling: How a video's window logits become its prediction.
    """
    names = windows.class_names
    frame = Predictions.from_logits(windows.labels, logits, names)
    return Scores(
        frame=frame,
        event_frame=frame.where(windows.overlaps_event),
        video=pool_videos(logits, windows.video_of_window, windows.video_labels, names, pooling),
        abnormality=None if windows.normal is None else _abnormality(logits, windows.normal),
    )


def _abnormality(logits: np.ndarray, normal: int) -> np.ndarray:
    """Ranks windows like 1 - P(normal), without that probability's ties at 0 and 1."""
    wide = logits.astype(np.float64)
    others = np.delete(wide, normal, axis=1)
    return np.asarray(np.logaddexp.reduce(others, axis=1) - wide[:, normal])


def measure_split(windows: LabelledWindows, scores: Scores) -> Tree:
    """Every metric of a split: nested names to numbers, ``None`` where undefined."""
    tree: Tree = {level: measure(getattr(scores, level)) for level in LEVELS}
    if scores.abnormality is not None:
        known = windows.searchable
        tree["event_detection"] = event_detection(
            windows.overlaps_event[known], scores.abnormality[known]
        )
    return tree

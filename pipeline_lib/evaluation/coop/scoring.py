"""From window logits to every number of one split, for a model and for its controls alike."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline_lib.evaluation.coop.labelled_windows import LabelledWindows
from pipeline_lib.evaluation.coop.seconds import Seconds
from pipeline_lib.metrics import measure
from pipeline_lib.metrics.anomaly import at_threshold, ranking, youden_threshold
from pipeline_lib.metrics.classification import accuracy, balanced_accuracy, binary_auc
from pipeline_lib.metrics.pooling import POOLINGS, Pooling, max_by_video, pool_videos
from pipeline_lib.metrics.predictions import Predictions

Tree = dict[str, Any]

LEVELS = ("frame", "event_frame", "video")
# The log odds of 1 - P(normal) = 0.5.
_HALF = 0.0


@dataclass(frozen=True)
class Scores:
    """Predictions of one split.

    Attributes:
        frame: One sample a window.
        event_frame: Only the windows that overlap an annotated event: the others of an event
            video may carry its class without showing it.
        pooled: One sample a video, pooled in every way.
        pooling: The way that the evaluation was told to take.
        log_odds: That a window is not normal, float64 [n]; ``None`` where the model has no class
            without events.
    """

    frame: Predictions
    event_frame: Predictions
    pooled: dict[Pooling, Predictions]
    pooling: Pooling
    log_odds: np.ndarray | None

    @property
    def video(self) -> Predictions:
        """One sample a video, pooled in that way."""
        return self.pooled[self.pooling]


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
        pooled={
            way: pool_videos(logits, windows.video_of_window, windows.video_labels, names, way)
            for way in POOLINGS
        },
        pooling=pooling,
        log_odds=None if windows.normal is None else _log_odds(logits, windows.normal),
    )


def probability(log_odds: np.ndarray) -> np.ndarray:
    """The anomaly score 1 - P(normal) of log odds."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -log_odds)))


def _log_odds(logits: np.ndarray, normal: int) -> np.ndarray:
    """Ranks windows like 1 - P(normal), without that probability's ties at 0 and 1."""
    wide = logits.astype(np.float64, copy=False)
    others = np.delete(wide, normal, axis=1)
    return np.asarray(np.logaddexp.reduce(others, axis=1) - wide[:, normal])


def measure_split(
    windows: LabelledWindows, scores: Scores, seconds: Seconds, threshold: float | None
) -> Tree:
    """Every metric of a split: nested names to numbers, ``None`` where undefined.

    Args:
        windows: The windows.
        scores: Their predictions.
        seconds: The seconds of the same split.
        threshold: Log odds from which on a second is called anomalous, chosen on val; ``None``
            where that is not known.
    """
    tree: Tree = {level: measure(getattr(scores, level)) for level in LEVELS}
    tree["video_pooling"] = {
        way: {"accuracy": accuracy(found), "balanced_accuracy": balanced_accuracy(found)}
        for way, found in scores.pooled.items()
    }
    if scores.log_odds is not None:
        tree["anomaly"] = _anomaly(windows, scores.log_odds, seconds, threshold)
    return tree


def choose_threshold(seconds: Seconds, log_odds: np.ndarray | None) -> float | None:
    """Youden's threshold over the seconds of a split, in log odds.

    Chosen on val it is applied to test; the values it reaches on val itself are in-sample.

    Args:
        seconds: The seconds.
        log_odds: Of the windows, or ``None`` where there is no normal class.
    """
    if log_odds is None:
        return None
    return youden_threshold(seconds.positive, seconds.scores(log_odds))


def _anomaly(
    windows: LabelledWindows, log_odds: np.ndarray, seconds: Seconds, threshold: float | None
) -> Tree:
    of_seconds = seconds.scores(log_odds)
    inside = seconds.of_event_videos
    tree: Tree = dict(ranking(seconds.positive, of_seconds))
    tree["auc_within_event_videos"] = binary_auc(seconds.positive[inside], of_seconds[inside])
    largest = max_by_video(log_odds[:, None], windows.video_of_window, len(windows.videos))
    tree["video_auc"] = binary_auc(windows.video_labels != windows.normal, largest[:, 0])
    tree["at_half"] = at_threshold(seconds.positive, of_seconds, _HALF)
    tree["at_youden"] = _at_youden(seconds, of_seconds, threshold)
    return tree


def _at_youden(seconds: Seconds, of_seconds: np.ndarray, threshold: float | None) -> Tree:
    if threshold is None:
        return dict.fromkeys(("threshold", "precision", "recall", "f1"))
    reached = at_threshold(seconds.positive, of_seconds, threshold)
    return {"threshold": float(probability(np.array(threshold))), **reached}

"""One split: every classifier of a lineup scored on it, and the tree of its numbers."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline_lib.evaluation.coop.classifiers import Classifier
from pipeline_lib.evaluation.coop.controls import chance
from pipeline_lib.evaluation.coop.labelled_windows import LabelledWindows, labelled_windows
from pipeline_lib.evaluation.coop.lineup import CONTROLS, Lineup
from pipeline_lib.evaluation.coop.scoring import (
    LEVELS,
    Scores,
    choose_threshold,
    measure_split,
    score,
)
from pipeline_lib.evaluation.coop.seconds import Seconds, split_seconds
from pipeline_lib.evaluation.coop.seeds import Measured, measure_seed, spread
from pipeline_lib.metrics.anomaly import precision_recall_points, ranking, roc_points
from pipeline_lib.metrics.pooling import Pooling
from pipeline_lib.pictures.anomaly_curves import Curve
from pipeline_lib.runtime.progress import Advance

logger = logging.getLogger(__name__)

MODEL = "coop"  # the trained prompts among the classifiers; all others are controls
WITH_CURVES = (MODEL, "zero_shot", "linear_probe")
THRESHOLDS_FROM = "val"
_NAMED = 5


@dataclass(frozen=True)
class EvaluatedSplit:
    """What an evaluation keeps of a split, beside its numbers.

    Attributes:
        windows: The windows.
        seconds: Their seconds.
        scores: The model's predictions.
        thresholds: Classifier to the log odds from which on a second is called anomalous, chosen
            on val; ``None`` where undefined, empty where val was not evaluated.
        curves: Classifier to its ROC and precision-recall curves over the seconds; empty where
            the model has no class without events.
    """

    windows: LabelledWindows
    seconds: Seconds
    scores: Scores
    thresholds: Mapping[str, float | None]
    curves: Mapping[str, Curve]


def evaluate_split(
    lineup: Lineup,
    split: str,
    pooling: Pooling,
    thresholds: Mapping[str, float | None],
    advance: Advance,
) -> tuple[dict[str, Any], EvaluatedSplit]:
    """Measure a model, its controls and its other seeds on one split.

    Classifiers are taken one after the other, and only the model's predictions are kept.

    Args:
        lineup: What to measure.
        split: On which windows; ``val`` chooses its own thresholds.
        pooling: How the window logits of a video become its prediction.
        thresholds: Those of val, for any other split.
        advance: Told of each classifier.

    Returns:
        The split's metrics, and what tables and pictures are made of.
    """
    names = lineup.prompts.class_names
    normal = lineup.prompts.metadata["normal_class"]
    windows = labelled_windows(lineup.store, split, class_names=names, normal_class=normal)
    _tell(windows)
    seconds = split_seconds(windows)

    def scores_of(classifier: Classifier) -> Scores:
        return score(windows, classifier.logits(split), pooling)

    own = scores_of(lineup.model)
    chosen, curves = dict(thresholds), {}
    trees: dict[str, dict[str, Any]] = {}
    for name, classifier in {MODEL: lineup.model, **lineup.controls}.items():
        scores = own if name == MODEL else scores_of(classifier)
        if split == THRESHOLDS_FROM:
            chosen[name] = choose_threshold(seconds, scores.log_odds)
        trees[name] = measure_split(windows, scores, seconds, chosen.get(name))
        if name in WITH_CURVES and scores.log_odds is not None:
            curves[name] = _curve(seconds, scores.log_odds)
        advance()
    evaluated = EvaluatedSplit(windows, seconds, own, chosen, curves)
    of_seeds = [measure_seed(own, seconds)]
    for classifier in lineup.seeds:
        of_seeds.append(measure_seed(scores_of(classifier), seconds))
        advance()
    return _tree(evaluated, trees, of_seeds), evaluated


def _curve(seconds: Seconds, log_odds: np.ndarray) -> Curve:
    of_seconds = seconds.scores(log_odds)
    fpr, tpr = roc_points(seconds.positive, of_seconds)
    recall, precision = precision_recall_points(seconds.positive, of_seconds)
    areas = ranking(seconds.positive, of_seconds)
    return Curve(fpr, tpr, recall, precision, **areas)


def _tree(
    evaluated: EvaluatedSplit, trees: Mapping[str, dict[str, Any]], of_seeds: Sequence[Measured]
) -> dict[str, Any]:
    """The model's own numbers, with counts of what they were measured on, and the controls'."""
    windows, seconds = evaluated.windows, evaluated.seconds
    tree: dict[str, Any] = {
        "videos_without_windows": len(windows.without_windows),
        **trees[MODEL],
    }
    for level in LEVELS:
        tree[level] = {"n": len(getattr(evaluated.scores, level).labels), **tree[level]}
    if "anomaly" in tree:
        tree["anomaly"] = {
            "seconds": _in_seconds(len(seconds.row), windows.every_s),
            "uncovered_seconds": _in_seconds(seconds.uncovered, windows.every_s),
            "unknown_videos": seconds.unknown_videos,
            **tree["anomaly"],
        }
    if len(of_seeds) > 1:
        tree["seeds"] = spread(of_seeds)
    controls = {"chance": chance(windows, seconds), **trees}
    tree["control"] = {name: controls[name] for name in CONTROLS if name in controls}
    return tree


def _in_seconds(rows: int, every_s: float) -> float:
    value = round(rows * every_s, 9)
    return int(value) if value.is_integer() else value


def _tell(windows: LabelledWindows) -> None:
    without = windows.without_windows["video"]
    if not len(windows.labels):
        logger.warning("No kept window of the %s split: its metrics are undefined.", windows.split)
    elif len(without):
        logger.warning(
            "%d videos of the %s split have no kept window and are in no video metric: %s",
            len(without),
            windows.split,
            ", ".join(without[:_NAMED]),
        )

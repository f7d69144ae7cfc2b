"""How much of a number is the luck of a seed."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline_lib.evaluation.coop.scoring import LEVELS, Scores
from pipeline_lib.evaluation.coop.seconds import Seconds
from pipeline_lib.metrics.classification import accuracy, balanced_accuracy, binary_auc

# Level and metric to its value.
Measured = dict[tuple[str, str], float | None]


def measure_seed(scores: Scores, seconds: Seconds) -> Measured:
    """The numbers that are compared between seeds.

    Args:
        scores: Predictions of one seed's model.
        seconds: The seconds of the same split.
    """
    values: Measured = {}
    for level in LEVELS:
        predictions = getattr(scores, level)
        values[level, "accuracy"] = accuracy(predictions)
        values[level, "balanced_accuracy"] = balanced_accuracy(predictions)
    if scores.log_odds is not None:
        of_seconds = seconds.scores(scores.log_odds)
        values["anomaly", "auc"] = binary_auc(seconds.positive, of_seconds)
    return values


def spread(of_seeds: Sequence[Measured]) -> dict[str, Any]:
    """Mean and sample standard deviation over seeds, the first seed's model included.

    Args:
        of_seeds: One item a seed, at least two.

    Returns:
        ``n``, and ``{level: {metric: {mean, std}}}``; ``None`` where a seed has no value.
    """
    tree: dict[str, Any] = {"n": len(of_seeds)}
    for level, metric in of_seeds[0]:
        values = [measured[level, metric] for measured in of_seeds]
        defined = [value for value in values if value is not None]
        whole = len(defined) == len(values)
        tree.setdefault(level, {})[metric] = {
            "mean": float(np.mean(defined)) if whole else None,
            "std": float(np.std(defined, ddof=1)) if whole else None,
        }
    return tree

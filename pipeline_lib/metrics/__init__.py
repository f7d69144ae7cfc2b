"""Metrics: pure functions of labels and predictions.

A classification metric is one function and one line here; every evaluation reports all of them
under these names.
"""

from collections.abc import Callable

from pipeline_lib.metrics.predictions import Predictions
from pipeline_lib.registry import Registry

Value = float | None
Metric = Callable[[Predictions], Value | dict[str, Value]]

METRICS: Registry[Metric] = Registry(
    "metric",
    {
        "accuracy": "pipeline_lib.metrics.classification:accuracy",
        "balanced_accuracy": "pipeline_lib.metrics.classification:balanced_accuracy",
        "macro_f1": "pipeline_lib.metrics.classification:macro_f1",
        "weighted_f1": "pipeline_lib.metrics.classification:weighted_f1",
        "macro_auc": "pipeline_lib.metrics.classification:macro_auc",
        "mean_average_precision": "pipeline_lib.metrics.classification:mean_average_precision",
        "recall": "pipeline_lib.metrics.classification:recall",
        "precision": "pipeline_lib.metrics.classification:precision",
        "f1": "pipeline_lib.metrics.classification:f1",
        "auc": "pipeline_lib.metrics.classification:auc",
        "average_precision": "pipeline_lib.metrics.classification:average_precision",
    },
)


def measure(predictions: Predictions) -> dict[str, Value | dict[str, Value]]:
    """Every registered metric of ``predictions`` by name; an undefined value is ``None``."""
    return {name: METRICS.get(name)(predictions) for name in METRICS}

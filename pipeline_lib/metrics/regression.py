"""Metrics of predicted values. What a set of samples does not define is ``None``, never 0."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Value = float | None


def measure_values(predicted: NDArray[Any], labels: NDArray[Any]) -> dict[str, Value]:
    """Every metric of n predicted values.

    Args:
        predicted: Float [n].
        labels: The true values, float [n].

    Returns:
        ``mse`` and ``mae``, the mean squared and absolute differences; ``pearson`` and
        ``spearman``, the correlations of values and of ranks, ``None`` where either side has one
        value only, as that of a constant prediction.

    Raises:
        ValueError: The two are of different lengths.
    """
    if len(predicted) != len(labels):
        raise ValueError(f"{len(predicted)} predicted values of {len(labels)} samples.")
    found, true = (np.asarray(values, dtype=np.float64) for values in (predicted, labels))
    differences = found - true
    return {
        "mse": float(np.mean(differences**2)) if len(true) else None,
        "mae": float(np.mean(np.abs(differences))) if len(true) else None,
        "pearson": _correlation(found, true),
        "spearman": _correlation(_ranks(found), _ranks(true)),
    }


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """From 1; equal values share the mean of theirs."""
    return np.asarray(pd.Series(values).rank(), dtype=np.float64)


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> Value:
    """Pearson's r; equal values are told exactly, since their mean may be rounded."""
    if len(a) < 2 or (a == a[0]).all() or (b == b[0]).all():
        return None
    x, y = a - a.mean(), b - b.mean()
    return float(np.clip((x @ y) / np.sqrt((x @ x) * (y @ y)), -1.0, 1.0))

"""Means over items that are not independent of one another."""

from collections.abc import Sequence

import numpy as np


def mean_and_error(
    values: Sequence[float], groups: Sequence[str]
) -> tuple[float | None, float | None]:
    """The mean of ``values`` and its standard error where values of one group go together.

    Items of one video share its frames, so that they are not independent. The error is that of
    the deviations summed by group (Liang and Zeger, Biometrika 1986, with the usual factor
    G / (G - 1)); with one value a group it is the standard deviation over sqrt(n).

    Args:
        values: [n].
        groups: [n], the group of each.

    Returns:
        Mean and error: both ``None`` without values, the error with fewer than two groups.
    """
    if not len(values):
        return None, None
    array = np.asarray(values, dtype=np.float64)
    mean = float(array.mean())
    names, group_of = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        return mean, None
    sums = np.bincount(group_of, weights=array - mean)
    factor = len(names) / (len(names) - 1)
    return mean, float(np.sqrt(factor * (sums * sums).sum()) / len(array))

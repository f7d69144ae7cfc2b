"""What retrieval metrics are worth when candidates come in random order."""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.metrics.retrieval import RECALL_AT, SUMMED, Value, with_sum

# Products of so many factors are not exact beyond.
_DIGITS = 12


def chance_metrics(
    match: NDArray[np.bool_],
    *,
    groups: NDArray[np.int64] | None = None,
    recall_at: Sequence[int] = RECALL_AT,
) -> dict[str, Value]:
    """The expected metrics of :func:`~pipeline_lib.metrics.retrieval.retrieval_metrics`.

    Of n candidates in random order the first of m right ones stands behind k others with the
    hypergeometric probability of drawing k wrong ones, and at (n + 1) / (m + 1) on average. A
    group of texts is one candidate, right where one of its texts is. The median is that of all
    queries' ranks taken together.

    Args:
        match: Boolean [texts, videos], what belongs together.
        groups: int64 [texts], the video a text was written for; ``None`` ranks single texts.
        recall_at: Ranks k of the recalls.

    Returns:
        The same names; ``None`` where no query of a direction has anything that belongs to it.
    """
    texts, videos = match.shape
    starts = np.arange(texts)
    order = starts
    if groups is not None:
        order = np.argsort(groups, kind="stable")
        starts = np.flatnonzero(np.diff(groups[order], prepend=groups[order[0]] - 1))
    grouped = np.logical_or.reduceat(match[order], starts, axis=0)
    wanted = {*recall_at, *SUMMED}
    found = {
        "t2v": _of_direction(match.sum(axis=1), videos, wanted),
        "v2t": _of_direction(grouped.sum(axis=0), len(starts), wanted),
    }
    return with_sum(found, recall_at)


def _of_direction(
    right: NDArray[np.int64], candidates: int, recall_at: Collection[int]
) -> dict[str, Value]:
    """Metrics of queries with ``right`` candidates each, int64 [queries]; 0 does not count."""
    right = right[right > 0]
    if not len(right):
        return dict.fromkeys((*(f"r{k}" for k in recall_at), "mdr", "mnr"))
    up_to = np.zeros(candidates)  # share of the queries with a rank of at most k + 1
    for number, queries in zip(*np.unique(right, return_counts=True), strict=True):
        drawn = np.arange(candidates)
        wrong = np.cumprod((candidates - number - drawn).clip(0) / (candidates - drawn))
        up_to += (1 - wrong) * queries / len(right)
    # Half way between the two middle ranks where one half of the queries ends exactly.
    middle = [np.searchsorted(up_to, 0.5 + side, side="left") + 1 for side in (-1e-12, 1e-12)]
    recalls: dict[str, Value] = {
        f"r{k}": round(100 * float(up_to[min(k, candidates) - 1]), _DIGITS) for k in recall_at
    }
    mean = float(((candidates + 1) / (right + 1)).mean())
    return recalls | {"mdr": float(np.mean(middle)), "mnr": mean}

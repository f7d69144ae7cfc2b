"""The rows of a window become one feature."""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.errors import DataError

TemporalAggregation = Literal["mean", "max"]


def pool_windows(
    rows: NDArray[np.float32],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    temporal_agg: TemporalAggregation,
    source: Path,
) -> NDArray[np.float32]:
    """One normalised feature for each window of one video: float32 [n, D].

    The rows of a window are aggregated first and normalised after.

    Args:
        rows: Features of the video, [T, D].
        starts: First row of each window, [n].
        lengths: Rows of each window, [n], at least 1.
        temporal_agg: How the rows become one.
        source: Where ``rows`` were read from, for messages.

    Raises:
        DataError: A window reaches beyond the rows, or its rows cancel out.
    """
    end = int((starts + lengths).max())
    if end > len(rows):
        raise DataError(
            f"{source}: has {len(rows)} rows, but a window ends at row {end}.",
            hint="The windows were made from other features; `dvc repro annotate-filter`.",
        )
    pooled = _aggregated(np.asarray(rows), starts, lengths, temporal_agg)
    norms = np.linalg.norm(pooled, axis=1, keepdims=True)
    bad = np.flatnonzero(~np.isfinite(norms) | (norms == 0))
    if bad.size:
        raise DataError(
            f"{source}: the rows of the window at row {starts[bad[0]]} cancel out or overflow, so "
            "it has no direction.",
            hint="Use train.temporal_agg: max, or shorter windows.",
        )
    pooled /= norms
    return pooled


def _aggregated(
    rows: NDArray[np.float32],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    temporal_agg: TemporalAggregation,
) -> NDArray[np.float32]:
    """Mean or maximum of each window, [n, D].

    Row by row instead of gathering whole windows: memory stays at the size of the result, however
    long the windows are and however far they overlap.
    """
    combine = np.add if temporal_agg == "mean" else np.maximum
    pooled: NDArray[np.float32] = rows[starts]
    for offset in range(1, int(lengths.max())):
        at = np.flatnonzero(lengths > offset)
        pooled[at] = combine(pooled[at], rows[starts[at] + offset])
    if temporal_agg == "mean":
        pooled /= lengths[:, None].astype(np.float32)
    return pooled

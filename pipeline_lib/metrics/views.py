"""From the views of a video, its clips and their crops, to one result a video."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class MergedViews:
    """One row a video.

    Attributes:
        videos: Their ids, ascending.
        rows: The mean over the views of each, float64 [v, C].
        views: How many there are of each, int64 [v].
    """

    videos: tuple[str, ...]
    rows: NDArray[np.float64]
    views: NDArray[np.int64]


def merge_views(videos: Sequence[str], views: Sequence[str], rows: NDArray[Any]) -> MergedViews:
    """Average what a network says about the views of each video, all views alike.

    The order of the rows changes no bit of the result, and a view that is there several times, as
    where shards of a data set overlap, counts once: of its rows the same one, whatever their order.

    Args:
        videos: Id of the video of each row, [n]; of videos with equal file names too, no two alike.
        views: What tells a row from the others of its video: window, clip and crop, [n].
        rows: Probabilities or values, float [n, C].

    Raises:
        ValueError: The three are of different lengths.
    """
    if not len(videos) == len(views) == len(rows):
        raise ValueError(f"{len(videos)} videos, {len(views)} views and {len(rows)} rows.")
    wide = np.asarray(rows, dtype=np.float64)
    names, video_of_row = np.unique(np.asarray(videos, dtype=np.str_), return_inverse=True)
    _, view_of_row = np.unique(np.asarray(views, dtype=np.str_), return_inverse=True)
    # By the values last: only they tell rows of one view apart.
    order = np.lexsort((*wide.T[::-1], view_of_row, video_of_row))
    places = np.stack((video_of_row[order], view_of_row[order]))
    first = np.ones(len(order), dtype=bool)
    first[1:] = (places[:, 1:] != places[:, :-1]).any(axis=0)
    kept = order[first]
    counts = np.bincount(video_of_row[kept], minlength=len(names))
    sums = np.zeros((len(names), wide.shape[1]))
    np.add.at(sums, video_of_row[kept], wide[kept])
    return MergedViews(tuple(names.tolist()), sums / counts[:, None], counts.astype(np.int64))

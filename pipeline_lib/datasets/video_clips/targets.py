"""What a value becomes before it is learned: a mean near zero, the scale as it is.

Formulas and means are those of ViS4mer (https://github.com/md-mohaiminul/ViS4mer,
``datasets/lvu_dataset.py``), so that squared errors can be compared with published ones.
"""

import math

from pipeline_lib.errors import DataError

_MEAN_LOG_VIEWS = 11.76425435683139
_MEAN_TEN_LIKES = 9.138220535629456


def view_count_target(views: float) -> float:
    """Logarithm of how often a video was seen, less its mean.

    Raises:
        DataError: It was never seen.
    """
    if not 0 < views < math.inf:
        raise DataError(f"{views:g} views have no logarithm.")
    return math.log(views) - _MEAN_LOG_VIEWS


def like_ratio_target(likes: float, dislikes: float) -> float:
    """Ten times the share of likes in all votes, less its mean.

    Raises:
        DataError: There are no votes.
    """
    votes = likes + dislikes
    if likes < 0 or dislikes < 0 or not 0 < votes < math.inf:
        raise DataError(f"{likes:g} likes and {dislikes:g} dislikes have no ratio.")
    return 10 * likes / votes - _MEAN_TEN_LIKES

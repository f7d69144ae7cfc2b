"""What values become before they are learned."""

import math

import pytest

from pipeline_lib.datasets.video_clips.targets import like_ratio_target, view_count_target
from pipeline_lib.errors import DataError


def test_formulas():
    assert math.isclose(view_count_target(1_000_000), 6 * math.log(10) - 11.76425435683139)
    assert math.isclose(like_ratio_target(75, 25), 7.5 - 9.138220535629456)


@pytest.mark.parametrize("views", [0, -1, math.inf, math.nan])
def test_views_without_a_logarithm(views):
    with pytest.raises(DataError, match="have no logarithm"):
        view_count_target(views)


@pytest.mark.parametrize("votes", [(0, 0), (-1, 2), (3, -2), (math.nan, 1), (math.inf, 1)])
def test_votes_without_a_ratio(votes):
    with pytest.raises(DataError, match="have no ratio"):
        like_ratio_target(*votes)

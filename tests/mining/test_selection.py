"""The threshold."""

import numpy as np
import pytest

from pipeline_lib.errors import WeightsError
from pipeline_lib.mining.selection import max_cosine, select
from pipeline_lib.mining.watching import unit


def direction(degrees):
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])


def test_the_nearest_true_frame_decides():
    true = [direction(0), direction(90), direction(180)]
    assert max_cosine(direction(60), true) == pytest.approx(np.cos(np.radians(30)), abs=1e-6)
    assert max_cosine(direction(270), [direction(90)]) == -1.0


def test_equal_frames_never_pass_for_different_ones():
    rows = np.random.default_rng(0).normal(size=(200, 512)).astype(np.float32)
    assert all(max_cosine(unit(row), [unit(3 * row)]) == 1.0 for row in rows)


@pytest.mark.parametrize("row", [[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0]])
def test_an_embedding_without_direction_is_refused(row):
    with pytest.raises(WeightsError, match="embedding of length"):
        unit(np.array(row, dtype=np.float32))


def test_the_first_that_pass_are_kept_in_each_part():
    segments = [0, 0, 0, 0, 1, 1, 2, 2]
    cosines = [0.96, 0.95, 0.94, 0.2, 0.1, 0.0, 0.99, 0.97]
    assert select(segments, cosines, threshold=0.95, per_segment=1) == [2, 4]
    assert select(segments, cosines, threshold=0.95, per_segment=3) == [2, 3, 4, 5]
    assert select(segments, cosines, threshold=-1.0, per_segment=3) == []
    assert select([], [], threshold=0.95, per_segment=1) == []

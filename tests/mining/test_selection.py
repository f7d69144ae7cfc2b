"""The threshold."""

import numpy as np
import pytest

from pipeline_lib.backbones.video_embedding import unit_rows
from pipeline_lib.config import MineConfig
from pipeline_lib.mining.mine_item import max_cosine, select


def direction(degrees):
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])


def test_the_nearest_true_frame_decides():
    true = [direction(0), direction(90), direction(180)]
    assert max_cosine(direction(60), true) == pytest.approx(np.cos(np.radians(30)), abs=1e-6)
    assert max_cosine(direction(270), [direction(90)]) == -1.0


def test_equal_frames_never_pass_for_different_ones():
    rows = np.random.default_rng(0).normal(size=(200, 512)).astype(np.float32)
    pairs = zip(unit_rows(rows), unit_rows(3 * rows), strict=True)
    assert all(max_cosine(row, [other]) == 1.0 for row, other in pairs)


SEGMENTS = [0, 0, 0, 0, 1, 1, 2, 2]
FRAMES = [9, 3, 7, 1, 15, 12, 25, 21]
COSINES = [0.96, 0.95, 0.94, 0.2, 0.1, 0.0, 0.99, 0.97]


def chosen(**settings):
    return select(SEGMENTS, FRAMES, COSINES, MineConfig(**settings))


def test_random_takes_the_first_drawn_that_pass_in_each_part():
    assert chosen(threshold=0.95, frames_per_segment=1) == [2, 4]
    assert chosen(threshold=0.95, frames_per_segment=3) == [3, 2, 5, 4]  # in the order of time
    assert chosen(threshold=-1.0, frames_per_segment=3) == []
    assert select([], [], [], MineConfig()) == []


def test_hard_takes_the_most_similar_that_pass():
    settings = {"strategy": "hard", "threshold": 0.97}
    assert chosen(**settings, frames_per_segment=1) == [0, 4]
    assert chosen(**settings, frames_per_segment=2) == [1, 0, 5, 4]
    assert chosen(strategy="hard", threshold=0.96, frames_per_segment=1) == [1, 4]


def test_of_equally_similar_frames_the_earlier_one_is_taken():
    config = MineConfig(strategy="hard", frames_per_segment=2)
    assert select([0] * 4, [8, 2, 5, 1], [0.5, 0.5, 0.5, 0.4], config) == [1, 2]

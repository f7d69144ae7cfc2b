import numpy as np
import pytest

from pipeline_lib.trainers.coop.shots import choose_evenly, choose_shots

# Class 0: videos 0 (5 windows), 1 (2), 2 (1); class 1: videos 3 (3), 4 (3); class 2: video 5 (1).
VIDEOS = np.repeat([0, 1, 2, 3, 4, 5], [5, 2, 1, 3, 3, 1])
LABELS = np.array([0, 0, 0, 1, 1, 2])[VIDEOS]


def draw(shots, seed=0):
    return choose_shots(LABELS, VIDEOS, shots, np.random.default_rng(seed))


def windows_of(chosen, label):
    """How many windows each video of a class gives."""
    return np.bincount(VIDEOS[chosen[LABELS[chosen] == label]], minlength=6)


@pytest.mark.parametrize("seed", range(20))
def test_no_video_gives_a_second_window_before_all_gave_one(seed):
    one, three, five, seven = (draw(shots, seed) for shots in (1, 3, 5, 7))
    assert windows_of(one, 0).sum() == 1
    assert windows_of(three, 0).tolist() == [1, 1, 1, 0, 0, 0]
    assert windows_of(five, 0).tolist() == [2, 2, 1, 0, 0, 0]
    assert windows_of(seven, 0).tolist() == [4, 2, 1, 0, 0, 0]
    assert sorted(windows_of(three, 1)[3:5].tolist()) == [1, 2]


def test_a_class_with_fewer_windows_gives_all_of_them():
    assert windows_of(draw(4), 2).tolist() == [0, 0, 0, 0, 0, 1]
    assert draw(100).tolist() == list(range(15))


def test_the_draw_follows_its_seed_and_is_ascending():
    assert draw(2, 3).tolist() == draw(2, 3).tolist() == sorted(draw(2, 3))
    assert len({tuple(draw(2, seed)) for seed in range(20)}) > 10


def test_every_video_can_come_first():
    assert {int(VIDEOS[draw(1, seed)[0]]) for seed in range(40)} == {0, 1, 2}


def test_a_class_that_is_not_there_gives_nothing():
    chosen = choose_shots(np.array([2, 2, 0]), np.array([0, 0, 1]), 1, np.random.default_rng(0))
    assert np.array([2, 2, 0])[chosen].tolist() in ([2, 0],)


@pytest.mark.parametrize(
    ("most", "of_each"), [(3, [1, 1, 1]), (5, [2, 2, 1]), (9, [4, 4, 1]), (14, [7, 6, 1])]
)
def test_small_classes_leave_their_share_to_the_others(most, of_each):
    chosen = choose_evenly(LABELS, VIDEOS, most, np.random.default_rng(0))
    assert np.bincount(LABELS[chosen]).tolist() == of_each


def test_nothing_is_drawn_where_all_fit():
    chosen = choose_evenly(LABELS, VIDEOS, 15, np.random.default_rng(0))
    assert chosen.tolist() == list(range(15))


def test_an_even_draw_is_even_over_videos():
    chosen = choose_evenly(LABELS, VIDEOS, 5, np.random.default_rng(0))
    assert windows_of(chosen, 1)[3:5].tolist() == [1, 1]
    assert windows_of(chosen, 0).max() == 1

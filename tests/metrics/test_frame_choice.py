import numpy as np
import pytest

from pipeline_lib.backbones.video_embedding import rounded_cosines
from pipeline_lib.errors import ConfigError
from pipeline_lib.metrics.frame_choice import choose_frames, cut_timeline


def test_equal_parts_of_a_timeline():
    assert cut_timeline(12, 4, "equal") == [(0, 3), (3, 6), (6, 9), (9, 12)]
    assert cut_timeline(10, 4, "equal") == [(0, 2), (2, 5), (5, 7), (7, 10)]
    assert cut_timeline(1, 1, "equal") == [(0, 1)]
    assert cut_timeline(0, 4, "equal") == []


def test_the_original_parts_begin_with_three_frames_and_end_with_the_remainder():
    assert cut_timeline(12, 4, "original-first3") == [(0, 3), (3, 6), (6, 9), (9, 12)]
    assert cut_timeline(14, 4, "original-first3") == [(0, 3), (3, 6), (6, 9), (9, 14)]
    assert cut_timeline(5, 4, "original-first3") == [(0, 3), (3, 5)]
    assert cut_timeline(9, 2, "original-first3") == [(0, 3), (3, 9)]
    assert cut_timeline(9, 1, "original-first3") == [(0, 9)]


@pytest.mark.parametrize("segments", ["equal", "original-first3"])
@pytest.mark.parametrize("k", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 7, 12, 100])
def test_parts_cover_the_timeline_once(n, k, segments):
    parts = cut_timeline(n, k, segments)
    assert [frame for start, end in parts for frame in range(start, end)] == list(range(n))
    assert 1 <= len(parts) <= k


@pytest.mark.parametrize("n", range(1, 13))
def test_four_frames_where_there_are_four(n):
    scores = np.random.default_rng(n).random(n)
    chosen = choose_frames(scores, 4, "equal").tolist()
    assert len(chosen) == len(set(chosen)) == min(4, n)
    assert chosen == sorted(chosen)


@pytest.mark.parametrize(("n", "frames"), [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (6, 4), (7, 4)])
def test_short_videos_give_fewer_frames_in_the_original_way(n, frames):
    assert len(choose_frames(np.arange(n) * 0.1, 4, "original-first3")) == frames


def test_the_best_of_each_part_and_the_first_of_equals():
    scores = np.array([0.1, 0.9, 0.9, -0.5, -0.4, -0.6, 0.0, 0.0])
    assert choose_frames(scores, 3, "equal").tolist() == [1, 2, 6]
    assert choose_frames(scores, 2, "original-first3").tolist() == [1, 6]
    assert choose_frames(scores, 1, "equal").tolist() == [1]
    assert choose_frames(scores, 1, "equal").dtype == np.int64


def test_no_frame_at_all_is_no_choice():
    with pytest.raises(ConfigError, match="k = 0"):
        choose_frames(np.zeros(3), 0, "equal")
    assert choose_frames(np.zeros(0), 4, "equal").tolist() == []


def test_scores_are_cosines_without_their_noise():
    frames = np.array([[0.6, 0.8], [1.0, 0.0], [-0.6, -0.8]], np.float32)
    scores = rounded_cosines(frames, np.array([0.6, 0.8], np.float32))
    assert scores.tolist() == [1.0, 0.6, -1.0]
    alone = [rounded_cosines(frames[i : i + 1], frames[0])[0] for i in range(3)]
    assert alone == rounded_cosines(frames, frames[0]).tolist()

"""Which frames an item needs, from presentation times alone."""

import numpy as np
import pytest

from pipeline_lib.config import MineConfig
from pipeline_lib.datasets.questions import Question
from pipeline_lib.mining.candidates import draw_candidates, plan_item, segments_of
from pipeline_lib.video.probe import timestamps
from pipeline_lib.video.reader import read_frames
from tests.support.video_files import write_video


def rate(n, fps=25.0):
    return np.arange(n) / fps


def question(*times, name="a"):
    return Question(
        id=name, question="?", choices=(), video_path="v.mp4", support_frames=tuple(times)
    )


@pytest.mark.parametrize("fps", [25.0, 30000 / 1001, 24000 / 1001, 10.0])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 7, 49, 50, 251])
def test_with_a_constant_rate_parts_are_equal_in_frames(n, fps):
    expected = [k * 5 // n for k in range(n)]
    assert segments_of(rate(n, fps), 5).tolist() == expected


def test_with_a_changing_rate_parts_are_equal_in_time():
    # 10 s: eight frames in the first two seconds, then one every two seconds.
    times = np.array([0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 4, 6, 8, 9.23])
    assert segments_of(times, 5).tolist() == [0] * 8 + [1, 2, 3, 4, 4]


def test_candidates_are_distinct_frames_of_their_part_and_never_true():
    config = MineConfig(segments=5, tries_per_segment=6)
    times, true = rate(50), {3, 12, 13, 49}
    drawn = draw_candidates("a", times, true, config)
    assert len(drawn) == 30
    assert len({c.frame for c in drawn}) == 30
    assert not true & {c.frame for c in drawn}
    assert all(c.segment == c.frame * 5 // 50 for c in drawn)
    assert [c.segment for c in drawn] == sorted(c.segment for c in drawn)


def test_a_part_with_too_few_frames_gives_what_it_has():
    config = MineConfig(segments=5, tries_per_segment=4)
    drawn = draw_candidates("a", rate(10), {0, 1, 4}, config)
    by_part = [sorted(c.frame for c in drawn if c.segment == s) for s in range(5)]
    assert by_part == [[], [2, 3], [5], [6, 7], [8, 9]]


@pytest.mark.parametrize("n", range(1, 7))
def test_videos_shorter_than_the_number_of_parts(n):
    config = MineConfig(segments=5, tries_per_segment=4)
    drawn = draw_candidates("a", rate(n), {0}, config)
    assert sorted(c.frame for c in drawn) == list(range(1, n))


def test_draws_depend_on_seed_and_item_alone():
    config = MineConfig(tries_per_segment=4)
    first = draw_candidates("a", rate(500), {0}, config)
    draw_candidates("b", rate(500), {0}, config)
    assert draw_candidates("a", rate(500), {0}, config) == first
    assert draw_candidates("b", rate(500), {0}, config) != first
    assert draw_candidates("a", rate(500), {0}, MineConfig(tries_per_segment=4, seed=1)) != first


def test_more_tries_only_add_to_fewer():
    few = draw_candidates("a", rate(500), {0}, MineConfig(tries_per_segment=2))
    many = draw_candidates("a", rate(500), {0}, MineConfig(tries_per_segment=7))
    for segment in range(5):
        of_part = [c for c in many if c.segment == segment]
        assert of_part[:2] == [c for c in few if c.segment == segment]


def test_draws_cover_a_part_evenly():
    config = MineConfig(segments=1, tries_per_segment=1)
    counts = np.zeros(10)
    for number in range(2000):
        counts[draw_candidates(f"item {number}", rate(10), (), config)[0].frame] += 1
    # Each of 10 frames 200 times, standard deviation 13.4.
    assert counts.min() > 145
    assert counts.max() < 255


def test_times_of_one_frame_are_merged_and_the_earliest_is_kept():
    plan = plan_item(question(0.30, 0.29, 1.5, 0.28, 0.0), rate(50), MineConfig())
    assert plan.true == {0: 0.0, 7: 0.28, 37: 1.5}
    assert list(plan.true) == [0, 7, 37]
    assert plan.length_s == pytest.approx(2.0)


def test_true_frames_are_those_the_reader_shows(tmp_path):
    # 30, 10 and 15 frames a second, one after the other, in milliseconds.
    pts = np.concatenate(
        ([0], np.cumsum([33] * 30 + [100] * 10 + [67] * 15 + [34] * 2), [3300])
    ).tolist()
    path = write_video(tmp_path / "v.mp4", sorted(set(pts)))
    times = timestamps(path)
    asked = np.random.default_rng(0).uniform(0, 3.4, 60).round(3)
    asked = np.concatenate([asked, times[::7], times[::7] - 5e-5])
    asked = np.abs(asked)
    shown = read_frames(path, asked).source_index
    for time, index in zip(asked, shown, strict=True):
        assert plan_item(question(float(time)), times, MineConfig()).true == {int(index): time}

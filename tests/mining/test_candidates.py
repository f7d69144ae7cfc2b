"""Which frames an item needs, from presentation times alone."""

import numpy as np
import pytest

from pipeline_lib.config import MineConfig
from pipeline_lib.datasets.questions import Question
from pipeline_lib.mining.candidates import SegmentDraws, plan_item, segments_of, timeline_s
from pipeline_lib.mining.items import SupportTimes
from pipeline_lib.video.probe import timestamps
from pipeline_lib.video.reader import read_frames
from tests.support.video_files import write_video


def rate(n, fps=25.0):
    return np.arange(n) / fps


def draw(times, true=(), video="a", **settings):
    return SegmentDraws(video, times, MineConfig(**settings)).candidates(set(true))


def plan(times, *asked, **settings):
    question = Question(
        id="a", question="?", choices=(), video_path="v.mp4", support_frames=asked, line=1
    )
    draws = SegmentDraws("a", times, MineConfig(**settings))
    return plan_item(question, SupportTimes(tuple(sorted(set(asked)))), times, draws)


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
    true = {3, 12, 13, 49}
    drawn = draw(rate(50), true, segments=5, tries_per_segment=6)
    assert len(drawn) == 30
    assert len({c.frame for c in drawn}) == 30
    assert not true & {c.frame for c in drawn}
    assert all(c.segment == c.frame * 5 // 50 for c in drawn)
    assert [c.segment for c in drawn] == sorted(c.segment for c in drawn)


def test_a_part_with_too_few_frames_gives_what_it_has():
    drawn = draw(rate(10), {0, 1, 4}, segments=5, tries_per_segment=4)
    by_part = [sorted(c.frame for c in drawn if c.segment == s) for s in range(5)]
    assert by_part == [[], [2, 3], [5], [6, 7], [8, 9]]


@pytest.mark.parametrize("n", range(1, 7))
def test_videos_shorter_than_the_number_of_parts(n):
    drawn = draw(rate(n), {0}, segments=5, tries_per_segment=4)
    assert sorted(c.frame for c in drawn) == list(range(1, n))


def test_draws_depend_on_seed_and_video_alone():
    first = draw(rate(500))
    draw(rate(500), video="b")
    assert draw(rate(500)) == first
    assert draw(rate(500), video="b") != first
    assert draw(rate(500), seed=1) != first


def test_items_of_a_video_share_their_candidates():
    first = draw(rate(500), tries_per_segment=4)
    other = draw(rate(500), {c.frame for c in first[:2]}, tries_per_segment=4)
    # Two of the first segment are taken: the next two of its order stand in for them.
    assert other[:2] == first[2:4]
    assert other[2:4] == draw(rate(500), tries_per_segment=6)[4:6]
    assert other[4:] == first[4:]


def test_more_tries_only_add_to_fewer():
    few = draw(rate(500), tries_per_segment=2)
    many = draw(rate(500), tries_per_segment=7)
    for segment in range(5):
        of_part = [c for c in many if c.segment == segment]
        assert of_part[:2] == [c for c in few if c.segment == segment]


def test_each_part_has_draws_of_its_own():
    drawn = draw(rate(500), tries_per_segment=20)
    places = [tuple(c.frame - 100 * s for c in drawn if c.segment == s) for s in range(5)]
    assert len(set(places)) == 5


def test_draws_cover_a_part_evenly():
    counts = np.zeros(10)
    for number in range(2000):
        drawn = draw(rate(10), video=f"video {number}", segments=1, tries_per_segment=1)
        counts[drawn[0].frame] += 1
    # Each of 10 frames 200 times, standard deviation 13.4.
    assert counts.min() > 145
    assert counts.max() < 255


def test_times_of_one_frame_are_merged_and_the_earliest_is_kept():
    planned = plan(rate(50), 0.30, 0.29, 1.5, 0.28, 0.0)
    assert planned.true == {0: 0.0, 7: 0.28, 37: 1.5}
    assert list(planned.true) == [0, 7, 37]
    assert planned.frames == {0, 7, 37} | {c.frame for c in planned.candidates}
    assert timeline_s(rate(50)) == pytest.approx(2.0)


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
        assert plan(times, float(time)).true == {int(index): time}

import numpy as np
import pytest

from pipeline_lib.pictures.time_bars import owned_times, rectangles, runs, time_ticks, time_words


def test_short_videos_are_read_in_seconds():
    places, words, unit = time_ticks(20.4)
    assert places.tolist() == list(range(0, 21, 2))
    assert words[:3] == ["0", "2", "4"]
    assert unit == "seconds"


def test_longer_videos_are_read_on_a_clock():
    places, words, unit = time_ticks(700)
    assert places.tolist() == [60.0 * n for n in range(12)]
    assert words[-1] == "11:00"
    assert unit == "minutes:seconds"
    places, words, unit = time_ticks(7200)
    assert places.tolist() == [600.0 * n for n in range(13)]
    assert words[-1] == "2:00"
    assert unit == "hours:minutes"


@pytest.mark.parametrize("hours", [30, 400])
def test_days_have_few_ticks(hours):
    assert 2 <= len(time_ticks(3600.0 * hours)[0]) <= 20


def test_times_are_as_exact_as_the_axis():
    assert time_words(8.31, 20) == "8.31"
    assert time_words(725.4, 3000) == "12:05"
    assert time_words(3725, 7200) == "1:02:05"


def test_touching_bars_become_one():
    left, right = runs(np.array([0.0, 1.0, 3.0]), np.array([1.0, 2.0, 4.0]))
    assert left.tolist() == [0.0, 3.0]
    assert right.tolist() == [2.0, 4.0]
    assert runs(np.zeros(0), np.zeros(0))[0].shape == (0,)


def test_rectangles_have_four_corners():
    corners = rectangles(np.array([1.0]), np.array([3.0]), 5.0, 6.0)
    assert corners.tolist() == [[[1, 5], [1, 6], [3, 6], [3, 5]]]


def test_overlaps_are_shared_half_and_half():
    left, right = owned_times(np.array([0.0, 2.0, 10.0]), np.array([4.0, 6.0, 14.0]))
    assert left.tolist() == [0.0, 3.0, 10.0]
    assert right.tolist() == [3.0, 6.0, 14.0]


def test_parts_of_windows_never_overlap():
    starts = np.arange(0.0, 20.0, 0.5)
    left, right = owned_times(starts, starts + 4)
    np.testing.assert_array_equal(left[1:], right[:-1])
    assert (right > left).all()

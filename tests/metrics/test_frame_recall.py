import pytest

from pipeline_lib.metrics.frame_recall import frame_precision, frame_recall
from pipeline_lib.metrics.grouped_mean import mean_and_error


def test_by_hand() -> None:
    chosen, support = [0.5, 3.0, 9.0], [1.0, 1.4, 8.2, 20.0]
    assert frame_recall(chosen, support, 1.0) == 3 / 4
    assert frame_precision(chosen, support, 1.0) == 2 / 3
    assert frame_recall(chosen, support, 0.1) == 0.0
    assert frame_precision(chosen, support, 0.1) == 0.0


def test_two_chosen_frames_at_one_moment_find_it_once() -> None:
    assert frame_recall([1.0, 1.1], [1.0, 5.0], 0.5) == 0.5
    assert frame_precision([1.0, 1.1], [1.0, 5.0], 0.5) == 1.0


@pytest.mark.parametrize(("time", "found"), [(3.0, 1.0), (3.00009, 1.0), (3.0002, 0.0)])
def test_the_tolerance_is_inclusive_and_clocks_may_round(time: float, found: float) -> None:
    assert frame_recall([time], [2.0], 1.0) == found
    assert frame_recall([2.0], [time], 1.0) == found
    assert frame_precision([time], [2.0], 1.0) == found


def test_what_cannot_be_said_is_none() -> None:
    assert frame_recall([1.0], [], 1.0) is None
    assert frame_precision([1.0], [], 1.0) is None
    assert frame_recall([], [1.0], 1.0) == 0.0
    assert frame_precision([], [1.0], 1.0) is None


def test_the_error_of_single_observations_is_the_usual_one() -> None:
    mean, error = mean_and_error([1.0, 2.0, 6.0], ["a", "b", "c"])
    assert mean == 3.0
    assert error == pytest.approx((7.0 / 3) ** 0.5)  # variance 7, three observations


def test_values_of_one_group_count_as_one_observation() -> None:
    once = mean_and_error([0.0, 1.0, 1.0], ["a", "b", "c"])
    # The same three videos, each with four items that say the same.
    often = mean_and_error([0.0, 1.0, 1.0] * 4, ["a", "b", "c"] * 4)
    assert often == pytest.approx(once)
    # Two videos whose items cancel out: their sums of deviations are 0.
    assert mean_and_error([1.0, -1.0, 1.0, -1.0], ["a", "a", "b", "b"]) == (0.0, 0.0)


def test_too_little_to_say() -> None:
    assert mean_and_error([], []) == (None, None)
    assert mean_and_error([0.5], ["a"]) == (0.5, None)
    assert mean_and_error([0.5, 0.7], ["a", "a"]) == (pytest.approx(0.6), None)

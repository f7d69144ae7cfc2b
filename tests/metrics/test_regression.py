import numpy as np
import pytest

from pipeline_lib.metrics.regression import measure_values


def test_hand_computed_values() -> None:
    found = measure_values(np.array([1.0, 2.0, 4.0]), np.array([0.0, 2.0, 7.0]))
    assert found["mse"] == pytest.approx((1 + 0 + 9) / 3)
    assert found["mae"] == pytest.approx((1 + 0 + 3) / 3)
    # Deviations (-4, -1, 5) / 3 and (-3, -1, 4).
    assert found["pearson"] == pytest.approx(33 / np.sqrt(42 * 26))
    assert found["spearman"] == pytest.approx(1.0)


def test_ranks_of_equal_values_are_shared() -> None:
    # Ranks 1.5 1.5 3 against 1 2 3.
    found = measure_values(np.array([5.0, 5.0, 6.0]), np.array([0.0, 1.0, 2.0]))
    assert found["spearman"] == pytest.approx(1.5 / np.sqrt(1.5 * 2))


def test_a_constant_has_an_error_and_no_correlation() -> None:
    labels = np.array([-1.0, 1.0, 3.0])
    found = measure_values(np.full(3, 0.1), labels)
    assert found["mse"] == pytest.approx((1.1**2 + 0.9**2 + 2.9**2) / 3)
    assert found["pearson"] is None
    assert found["spearman"] is None


def test_the_constant_zero_reaches_the_mean_square() -> None:
    labels = np.array([2.0, -1.0, 0.5])
    assert measure_values(np.zeros(3), labels)["mse"] == pytest.approx(np.mean(labels**2))


def test_nothing_is_undefined() -> None:
    assert set(measure_values(np.zeros(0), np.zeros(0)).values()) == {None}


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="2 predicted values of 3 samples"):
        measure_values(np.zeros(2), np.zeros(3))

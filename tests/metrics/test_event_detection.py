import numpy as np
import pytest

from pipeline_lib.metrics.event_detection import event_detection


def test_hand_computed() -> None:
    # Ranking by score: in, out, in, out. Pairs right: 3 of 4; precision at the hits: 1/1, 2/3.
    found = event_detection(np.array([True, False, True, False]), np.array([9.0, 5.0, 3.0, 1.0]))
    assert found["auc"] == pytest.approx(0.75)
    assert found["average_precision"] == pytest.approx((1 + 2 / 3) / 2)


def test_a_constant_score_detects_nothing() -> None:
    found = event_detection(np.array([True, False, False, False]), np.zeros(4))
    assert found == {"auc": 0.5, "average_precision": 0.25}


@pytest.mark.parametrize("inside", [[], [True, True], [False]])
def test_undefined_without_both_kinds(inside: list[bool]) -> None:
    flags = np.array(inside, dtype=bool)
    assert event_detection(flags, np.zeros(len(inside))) == {
        "auc": None,
        "average_precision": None,
    }

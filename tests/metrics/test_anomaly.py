import numpy as np
import pytest

from pipeline_lib.metrics.anomaly import (
    at_threshold,
    precision_recall_points,
    ranking,
    roc_points,
    youden_threshold,
)

POSITIVE = np.array([True, False, True, False])
SCORES = np.array([9.0, 5.0, 3.0, 1.0])
UNDEFINED = ([], [True, True], [False])


def test_ranking_by_hand() -> None:
    # Pairs in order: 3 of 4; precision at the hits: 1/1 and 2/3.
    found = ranking(POSITIVE, SCORES)
    assert found == {"auc": 0.75, "average_precision": pytest.approx((1 + 2 / 3) / 2)}


def test_a_constant_score_ranks_nothing() -> None:
    positive = np.array([True, False, False, False])
    assert ranking(positive, np.zeros(4)) == {"auc": 0.5, "average_precision": 0.25}


def test_youdens_threshold_is_the_highest_of_equally_good_ones() -> None:
    # TPR - FPR is 1/2 from 9 on, 0 from 5 on, 1/2 from 3 on, 0 from 1 on.
    assert youden_threshold(POSITIVE, SCORES) == 9.0
    # Both positives are above 3.
    assert youden_threshold(np.array([True, True, False, False]), SCORES) == 5.0


def test_a_score_that_is_worse_than_none_calls_everything_positive() -> None:
    assert youden_threshold(np.array([False, False, True]), np.array([3.0, 2.0, 1.0])) == 1.0
    assert youden_threshold(POSITIVE, np.zeros(4)) == 0.0


def test_at_a_threshold_by_hand() -> None:
    assert at_threshold(POSITIVE, SCORES, 3.0) == {
        "precision": pytest.approx(2 / 3),
        "recall": 1.0,
        "f1": pytest.approx(4 / 5),
    }
    nothing_called = {"precision": None, "recall": 0.0, "f1": 0.0}
    assert at_threshold(POSITIVE, SCORES, 10.0) == nothing_called
    nothing_there = {"precision": 0.0, "recall": None, "f1": None}
    assert at_threshold(np.zeros(4, bool), SCORES, 3.0) == nothing_there
    assert set(at_threshold(np.zeros(0, bool), np.zeros(0), 0.0).values()) == {None}


@pytest.mark.parametrize("positive", UNDEFINED)
def test_undefined_without_both_kinds(positive: list[bool]) -> None:
    flags, scores = np.array(positive, dtype=bool), np.zeros(len(positive))
    assert ranking(flags, scores) == {"auc": None, "average_precision": None}
    assert youden_threshold(flags, scores) is None
    for points in (roc_points(flags, scores), precision_recall_points(flags, scores)):
        assert [len(values) for values in points] == [0, 0]


def test_curves_by_hand() -> None:
    fpr, tpr = roc_points(POSITIVE, SCORES)
    assert fpr.tolist() == [0, 0, 0.5, 0.5, 1]
    assert tpr.tolist() == [0, 0.5, 0.5, 1, 1]
    recall, precision = precision_recall_points(POSITIVE, SCORES)
    assert recall[[0, 1, -1]].tolist() == [0, 0.5, 1]
    assert precision[[0, 1]].tolist() == [1, 1]
    assert precision[recall == 1].max() == pytest.approx(2 / 3)


def test_long_curves_are_thinned_to_the_same_shape_each_time() -> None:
    rng = np.random.default_rng(0)
    positive = rng.random(20_000) < 0.01
    scores = rng.normal(size=20_000) + 2 * positive
    fpr, tpr = roc_points(positive, scores, most=100)
    assert len(fpr) <= 100
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert (np.diff(fpr) >= 0).all()
    assert (np.diff(tpr) >= 0).all()
    exact = ranking(positive, scores)["auc"]
    assert np.trapezoid(tpr, fpr) == pytest.approx(exact, abs=0.01)
    again = roc_points(positive, scores, most=100)
    assert (again[0] == fpr).all()
    assert (again[1] == tpr).all()
    recall, precision = precision_recall_points(positive, scores, most=100)
    assert len(recall) == len(precision) <= 100
    assert (recall[0], precision[0], recall[-1]) == (0, 1, 1)

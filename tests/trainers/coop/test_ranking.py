import numpy as np
import pytest

from pipeline_lib.metrics.classification import macro_auc
from pipeline_lib.metrics.predictions import Predictions
from pipeline_lib.trainers.coop.ranking import BinnedRanking


def binned(labels, logits, pieces=1):
    ranking = BinnedRanking(logits.shape[1])
    for some, of_some in zip(
        np.array_split(labels, pieces), np.array_split(logits, pieces), strict=True
    ):
        ranking.add(some, of_some)
    return ranking.macro_auc()


@pytest.mark.parametrize("scale", [1.0, 10.0, 100.0])
@pytest.mark.parametrize("pieces", [1, 7])
def test_close_to_the_exact_area(scale, pieces):
    rng = np.random.default_rng(0)
    labels = rng.choice(4, 3000, p=[0.7, 0.2, 0.1, 0.0])
    logits = scale * (rng.normal(0, 0.3, (3000, 4)) + 0.3 * np.eye(4)[labels])
    names = ("a", "b", "c", "absent")
    exact = macro_auc(Predictions.from_logits(labels, logits, names))
    assert binned(labels, logits, pieces) == pytest.approx(exact, abs=1e-3)
    assert binned(labels, logits, pieces) == binned(labels, logits)


def test_by_hand():
    logits = np.array([[4.0, 0.0, 0.0], [1.0, 2.0, 0.0], [3.0, 3.5, 0.0], [0.0, 1.0, 0.0]])
    # 3 and 2 of 4 pairs are in order; nothing is of the third class.
    assert binned(np.array([0, 0, 1, 1]), logits) == pytest.approx((0.75 + 0.5) / 2)


def test_equal_probabilities_count_half_also_where_they_are_certain():
    certain = np.array([[2000.0, 0.0], [1000.0, 0.0], [0.0, 3000.0], [500.0, 0.0]])
    assert binned(np.array([0, 1, 1, 0]), certain) == pytest.approx(0.75)


def test_one_class_alone_has_no_area():
    assert binned(np.array([1, 1]), np.eye(2)) is None

import numpy as np
import pytest

from pipeline_lib.metrics import METRICS, measure
from pipeline_lib.metrics.classification import confusion, top_k_accuracy
from pipeline_lib.metrics.predictions import Predictions, softmax

NAMES = ("fall", "fire", "normal")


def predictions(labels: list[int], predicted: list[int]) -> Predictions:
    certain = np.eye(len(NAMES))[predicted] if predicted else np.zeros((0, len(NAMES)))
    return Predictions(
        np.array(labels, dtype=np.int64), np.array(predicted, dtype=np.int64), certain, NAMES
    )


def test_hand_computed_values() -> None:
    # fall: 1 of 2 recognised; fire: 1 of 1; normal: 4 of 5.
    found = measure(predictions([0, 0, 1, 2, 2, 2, 2, 2], [0, 2, 1, 2, 2, 2, 2, 1]))
    assert found["accuracy"] == pytest.approx(6 / 8)
    assert found["recall"] == {"fall": 0.5, "fire": 1.0, "normal": 0.8}
    assert found["balanced_accuracy"] == pytest.approx((0.5 + 1.0 + 0.8) / 3)
    # F1 = 2 tp / (2 tp + fp + fn): fall 2/3, fire 2/3, normal 8/10.
    by_class = {"fall": pytest.approx(2 / 3), "fire": pytest.approx(2 / 3), "normal": 0.8}
    assert found["f1"] == by_class
    assert found["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 0.8) / 3)
    assert found["weighted_f1"] == pytest.approx((2 * 2 / 3 + 2 / 3 + 5 * 0.8) / 8)
    # Predicted: fall once and rightly, fire twice, normal five times, four of them rightly.
    assert found["precision"] == {"fall": 1.0, "fire": 0.5, "normal": 0.8}


def test_always_normal_is_accurate_and_not_balanced() -> None:
    found = measure(predictions([0] + [2] * 9, [2] * 10))
    assert found["accuracy"] == pytest.approx(0.9)
    assert found["balanced_accuracy"] == pytest.approx(0.5)
    assert found["macro_f1"] == pytest.approx((0 + 18 / 19) / 2)
    assert found["macro_auc"] == pytest.approx(0.5)


def test_an_absent_class_keeps_its_place_and_is_none() -> None:
    found = measure(predictions([0, 0, 2], [0, 1, 2]))
    assert found["recall"] == {"fall": 0.5, "fire": None, "normal": 1.0}
    assert found["balanced_accuracy"] == pytest.approx(0.75)
    assert found["macro_f1"] == pytest.approx((2 / 3 + 1.0) / 2)
    assert found["auc"] == {"fall": 0.75, "fire": None, "normal": 1.0}
    assert found["macro_auc"] == pytest.approx(0.875)
    # What was predicted as the absent class was so wrongly: its precision is known, its F1 is not.
    assert found["precision"] == {"fall": 1.0, "fire": 0.0, "normal": 1.0}
    assert found["f1"] == {"fall": pytest.approx(2 / 3), "fire": None, "normal": 1.0}
    assert found["weighted_f1"] == pytest.approx((2 * 2 / 3 + 1.0) / 3)
    # Ranks 1, 2 and 2 for fall: 1 hit of 1, then 2 of 3.
    average = {"fall": pytest.approx((1 + 2 / 3) / 2), "fire": None, "normal": 1.0}
    assert found["average_precision"] == average
    assert found["mean_average_precision"] == pytest.approx((5 / 6 + 1) / 2)


def test_one_class_alone_has_recall_but_no_curve() -> None:
    found = measure(predictions([2, 2], [2, 0]))
    assert found["balanced_accuracy"] == pytest.approx(0.5)
    assert found["auc"] == {"fall": None, "fire": None, "normal": None}
    assert found["macro_auc"] is None
    assert found["mean_average_precision"] is None


def test_a_class_that_is_never_predicted_has_no_precision() -> None:
    found = measure(predictions([0, 2], [2, 2]))
    assert found["precision"] == {"fall": None, "fire": None, "normal": 0.5}
    assert found["f1"] == {"fall": 0.0, "fire": None, "normal": pytest.approx(2 / 3)}


def test_nothing_to_measure_is_none_everywhere() -> None:
    found = measure(predictions([], []))
    absent = dict.fromkeys(NAMES)
    by_class = {"auc", "average_precision", "f1", "precision", "recall"}
    expected = {name: absent if name in by_class else None for name in METRICS}
    assert found == expected


def test_auc_ranks_by_probability() -> None:
    logits = np.array([[4.0, 0.0, 0.0], [1.0, 2.0, 0.0], [3.0, 3.5, 0.0], [0.0, 1.0, 0.0]])
    found = measure(Predictions.from_logits(np.array([0, 0, 1, 1]), logits, NAMES))
    # P(fall) is .96 .24 .37 .21, P(fire) .02 .67 .61 .58: 3 and 2 of 4 pairs are in order.
    assert found["auc"] == {"fall": 0.75, "fire": 0.5, "normal": None}


@pytest.mark.parametrize("name", list(METRICS))
def test_every_metric_takes_any_samples(name: str) -> None:
    metric = METRICS.get(name)
    for sample in ([], [1], [0, 1, 2, 2]):
        value = metric(predictions(sample, sample))
        values = value.values() if isinstance(value, dict) else [value]
        assert all(v is None or 0 <= v <= 1 for v in values)


def test_confusion_counts_actual_by_predicted() -> None:
    counts = confusion(predictions([0, 0, 2], [2, 0, 2]))
    assert counts.tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 1]]
    assert confusion(predictions([], [])).tolist() == [[0] * 3] * 3


def test_softmax_survives_clips_scale() -> None:
    found = softmax(np.array([[3000.0, 2980.0, 0.0]], dtype=np.float32))
    assert found[0, 1] == pytest.approx(np.exp(-20), rel=1e-6)
    assert found.sum() == pytest.approx(1)


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="do not belong together over 3 classes"):
        Predictions(np.array([0]), np.array([0, 1]), np.zeros((1, 3)), NAMES)
    with pytest.raises(ValueError, match="labels holds an index outside"):
        Predictions(np.array([3]), np.array([0]), np.zeros((1, 3)), NAMES)


def test_top_k_counts_the_first_of_equals() -> None:
    names = ("a", "b", "c", "d")
    shares = np.array([[0.4, 0.3, 0.2, 0.1], [0.25, 0.25, 0.25, 0.25], [0.1, 0.2, 0.3, 0.4]])
    found = Predictions(np.array([1, 1, 0]), np.array([0, 0, 3]), shares, names)
    assert top_k_accuracy(found, 1) == 0.0
    assert top_k_accuracy(found, 2) == pytest.approx(2 / 3)
    assert top_k_accuracy(found, 4) is None
    assert top_k_accuracy(predictions([], []), 1) is None

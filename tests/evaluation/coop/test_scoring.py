from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.evaluation.coop.classifiers import constant_classifier
from pipeline_lib.evaluation.coop.controls import chance, majority_class
from pipeline_lib.evaluation.coop.labelled_windows import LabelledWindows, labelled_windows
from pipeline_lib.evaluation.coop.scoring import (
    choose_threshold,
    measure_split,
    probability,
    score,
)
from pipeline_lib.evaluation.coop.seconds import Seconds, split_seconds
from pipeline_lib.evaluation.coop.seeds import spread
from pipeline_lib.metrics.predictions import softmax
from tests.evaluation.coop.tables import store_of, window_row, windows_table

NAMES = ("fall", "fire", "normal")
NORMAL = 2

# A fall whose second half shows it, and a normal video.
TABLE = windows_table(
    window_row("test/fall/a", 0, label="normal"),
    window_row("test/fall/a", 1, overlaps=True),
    window_row("test/normal/b", 0),
    window_row("test/normal/b", 1),
)
EVENTS = {"test/fall/a": [(1.0, 2.0)]}
ROWS = {"test/fall/a": 2, "test/normal/b": 2, "val/fire/c": 1}
LOGITS = np.array([[0.0, 0.0, 1.0], [5.0, 0.0, 1.0], [3.0, 0.0, 2.0], [0.0, 0.0, 4.0]])

Split = tuple[LabelledWindows, Seconds]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


def of_split(folder: Path, split: str = "test", normal_class: str = "normal") -> Split:
    store = store_of(folder, TABLE, EVENTS, ROWS)
    windows = labelled_windows(store, split, class_names=NAMES, normal_class=normal_class)
    return windows, split_seconds(windows)


def test_every_level_is_measured(folder: Path) -> None:
    windows, seconds = of_split(folder)
    tree = measure_split(windows, score(windows, LOGITS, "mean"), seconds, None)
    assert tree["frame"]["accuracy"] == pytest.approx(3 / 4)
    assert tree["frame"]["recall"] == {"fall": 1.0, "fire": None, "normal": pytest.approx(2 / 3)}
    assert tree["event_frame"]["accuracy"] == 1.0
    assert tree["event_frame"]["recall"] == {"fall": 1.0, "fire": None, "normal": None}
    assert tree["video"]["accuracy"] == 1.0
    assert tree["video_pooling"]["mean"] == {"accuracy": 1.0, "balanced_accuracy": 1.0}
    # The largest logits of video b are 3 (fall) and 4 (normal); of votes each class has one.
    assert tree["video_pooling"]["max"]["accuracy"] == 1.0
    assert tree["video_pooling"]["vote"]["accuracy"] == 1.0


def test_anomalies_are_measured_by_the_second(folder: Path) -> None:
    windows, seconds = of_split(folder)
    scores = score(windows, LOGITS, "mean")
    # 1 - P(normal): log(2) - 1, log(e^5 + 1) - 1, log(e^3 + 1) - 2, log(2) - 4 as log odds.
    assert scores.log_odds is not None
    assert scores.log_odds == pytest.approx([-0.307, 4.007, 1.049, -3.307], abs=1e-3)
    assert probability(scores.log_odds) == pytest.approx(1 - softmax(LOGITS)[:, NORMAL])
    found = measure_split(windows, scores, seconds, None)["anomaly"]
    assert (found["auc"], found["average_precision"]) == (1.0, 1.0)
    assert found["auc_within_event_videos"] == 1.0
    assert found["video_auc"] == 1.0
    assert found["at_half"] == {
        "precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3)
    }  # fmt: skip
    absent = dict.fromkeys(("threshold", "precision", "recall", "f1"))
    assert found["at_youden"] == absent


def test_the_threshold_is_applied_in_log_odds_and_told_as_a_probability(folder: Path) -> None:
    windows, seconds = of_split(folder)
    scores = score(windows, LOGITS, "mean")
    threshold = choose_threshold(seconds, scores.log_odds)
    assert scores.log_odds is not None
    assert threshold == scores.log_odds[1]
    found = measure_split(windows, scores, seconds, threshold)["anomaly"]["at_youden"]
    assert found == {
        "threshold": pytest.approx(1 - softmax(LOGITS)[1, NORMAL]),
        "precision": 1.0,
        "recall": 1.0,
        "f1": 1.0,
    }


def test_probabilities_of_extreme_log_odds() -> None:
    assert probability(np.array([-2000.0, 0.0, 2000.0])).tolist() == [0.0, 0.5, 1.0]


def test_without_a_normal_class_anomalies_are_not_searched(folder: Path) -> None:
    windows, seconds = of_split(folder, normal_class="idle")
    scores = score(windows, LOGITS, "mean")
    assert "anomaly" not in measure_split(windows, scores, seconds, None)
    assert "anomaly" not in chance(windows, seconds)
    assert choose_threshold(seconds, scores.log_odds) is None


def test_always_one_class_reaches_its_share_and_no_more(folder: Path) -> None:
    windows, seconds = of_split(folder)
    store = store_of(folder, TABLE, EVENTS, ROWS)
    logits = constant_classifier(NORMAL, 3, store).logits("test")
    tree = measure_split(windows, score(windows, logits, "vote"), seconds, None)
    assert tree["frame"]["accuracy"] == pytest.approx(3 / 4)
    assert tree["frame"]["balanced_accuracy"] == pytest.approx(1 / 2)
    assert tree["video"]["accuracy"] == pytest.approx(1 / 2)
    anomaly = tree["anomaly"]
    assert (anomaly["auc"], anomaly["average_precision"]) == (0.5, 0.25)
    assert anomaly["video_auc"] == 0.5
    assert anomaly["at_half"] == {"precision": None, "recall": 0.0, "f1": 0.0}


def test_chance_is_one_over_the_models_classes(folder: Path) -> None:
    tree = chance(*of_split(folder))
    assert tree["video"] == {
        "accuracy": pytest.approx(1 / 3),
        "balanced_accuracy": pytest.approx(1 / 3),
        "macro_auc": 0.5,
        "mean_average_precision": 0.5,
    }
    # One window in four shows a fall.
    assert tree["frame"]["mean_average_precision"] == pytest.approx((1 / 4 + 3 / 4) / 2)
    # Every event is a fall: there is nothing to rank.
    assert tree["event_frame"]["macro_auc"] is None
    assert tree["anomaly"] == {
        "auc": 0.5,
        "average_precision": 0.25,
        "auc_within_event_videos": 0.5,
        "video_auc": 0.5,
    }


def test_guessing_a_split_without_windows_is_undefined(folder: Path) -> None:
    tree = chance(*of_split(folder, "val"))
    assert set(tree["frame"].values()) == set(tree["anomaly"].values()) == {None}


def test_a_split_without_windows_measures_nothing(folder: Path) -> None:
    windows, seconds = of_split(folder, "val")
    tree = measure_split(windows, score(windows, np.zeros((0, 3)), "mean"), seconds, None)
    assert tree["frame"]["accuracy"] is None
    assert tree["video"]["balanced_accuracy"] is None
    assert tree["anomaly"]["auc"] is None
    assert tree["anomaly"]["video_auc"] is None
    assert set(tree["anomaly"]["at_half"].values()) == {None}


def test_the_majority_is_that_of_the_models_classes_and_the_first_of_equals() -> None:
    assert majority_class({"normal": 2, "fall": 1, "other": 3}, NAMES) == NORMAL
    assert majority_class({"fire": 1, "fall": 1, "normal": 0}, NAMES) == 0
    assert majority_class({}, NAMES) is None
    assert majority_class(None, NAMES) is None


def test_seeds_have_a_mean_and_a_sample_deviation() -> None:
    key, undefined = ("frame", "accuracy"), ("video", "accuracy")
    found = spread([{key: 0.5, undefined: 1.0}, {key: 0.7, undefined: None}])
    assert found == {
        "n": 2,
        "frame": {"accuracy": {"mean": 0.6, "std": pytest.approx(0.1 * 2**0.5)}},
        "video": {"accuracy": {"mean": None, "std": None}},
    }

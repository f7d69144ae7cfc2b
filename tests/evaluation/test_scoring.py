from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.evaluation.controls import chance, constant_logits, majority_class
from pipeline_lib.evaluation.labelled_windows import LabelledWindows, labelled_windows
from pipeline_lib.evaluation.scoring import measure_split, score
from tests.evaluation.tables import window_row, windows_table

NAMES = ("fall", "fire", "normal")
NORMAL = 2


# A fall whose second half shows it, and a normal video.
TABLE = windows_table(
    window_row("test/fall/a", 0, label="normal"),
    window_row("test/fall/a", 1, overlaps=True),
    window_row("test/normal/b", 0),
    window_row("test/normal/b", 1),
)


def of_split(split: str = "test", normal_class: str = "normal") -> LabelledWindows:
    return labelled_windows(
        TABLE,
        split,
        class_names=NAMES,
        normal_class=normal_class,
        known_videos=set(TABLE["video"]),
        source=Path("w.parquet"),
    )


LOGITS = np.array([[0.0, 0.0, 1.0], [5.0, 0.0, 1.0], [3.0, 0.0, 2.0], [0.0, 0.0, 4.0]])


def test_every_level_is_measured() -> None:
    windows = of_split()
    tree = measure_split(windows, score(windows, LOGITS, "mean"))
    assert tree["frame"]["accuracy"] == pytest.approx(3 / 4)
    assert tree["frame"]["recall"] == {"fall": 1.0, "fire": None, "normal": pytest.approx(2 / 3)}
    assert tree["event_frame"]["accuracy"] == 1.0
    assert tree["event_frame"]["recall"] == {"fall": 1.0, "fire": None, "normal": None}
    assert tree["video"]["accuracy"] == 1.0
    assert tree["event_detection"] == {"auc": 1.0, "average_precision": 1.0}


def test_without_a_normal_class_events_are_not_searched() -> None:
    windows = of_split(normal_class="idle")
    tree = measure_split(windows, score(windows, LOGITS, "mean"))
    assert "event_detection" not in tree
    assert "event_detection" not in chance(windows)


def test_always_one_class_reaches_its_share_and_no_more() -> None:
    windows = of_split()
    logits = constant_logits(windows, NORMAL)
    tree = measure_split(windows, score(windows, logits, "vote"))
    assert tree["frame"]["accuracy"] == pytest.approx(3 / 4)
    assert tree["frame"]["balanced_accuracy"] == pytest.approx(1 / 2)
    assert tree["video"]["accuracy"] == pytest.approx(1 / 2)
    assert tree["event_detection"] == {"auc": 0.5, "average_precision": 0.25}


def test_chance_is_one_over_the_models_classes() -> None:
    tree = chance(of_split())
    assert tree["video"] == {
        "accuracy": pytest.approx(1 / 3),
        "balanced_accuracy": pytest.approx(1 / 3),
        "macro_auc": 0.5,
    }
    assert tree["event_detection"] == {"auc": 0.5, "average_precision": 0.25}


def test_a_split_without_windows_measures_nothing() -> None:
    windows = of_split("val")
    scores = score(windows, np.zeros((0, 3)), "mean")
    tree = measure_split(windows, scores)
    assert tree["frame"]["accuracy"] is None
    assert tree["video"]["balanced_accuracy"] is None
    assert tree["event_detection"] == {"auc": None, "average_precision": None}


def test_the_majority_is_that_of_the_models_classes_and_the_first_of_equals() -> None:
    assert majority_class(["normal", "fall", "normal", "other", "other", "other"], NAMES) == 2
    assert majority_class(["fire", "fall"], NAMES) == 0
    assert majority_class([], NAMES) is None

import numpy as np
import pandas as pd

from pipeline_lib.evaluation.videomamba.drawn import (
    FAR,
    SPREAD,
    WRONG,
    Example,
    draw_plots,
    pick_examples,
)
from pipeline_lib.evaluation.videomamba.tree import split_tree
from pipeline_lib.evaluation.videomamba.written import write_tables
from tests.evaluation.videomamba.splits import answered, shown

NAMES = ("fall", "a$b$", "걷기")
ROWS = [[0.9, 0.1, 0], [0.8, 0.2, 0], [0.1, 0.5, 0.4], [0, 0.3, 0.7], [0.5, 0.3, 0.2]]
LABELS = [0, 1, 1, 2, 2]


def drawn(folder, split, examples=2):
    draw_plots(folder, split, split_tree(split.answered), examples)
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}


def test_plots_of_classes_twice(tmp_path):
    split = shown(LABELS, ROWS, names=NAMES, train=[0, 1], scratch=np.eye(3)[[0, 0, 0, 0, 0]])
    first = drawn(tmp_path, split)
    assert drawn(tmp_path, split) == first
    accuracy = pd.read_csv(tmp_path / "accuracy.csv")
    assert accuracy.model.tolist() == ["videomamba", "chance", "majority", "scratch"]
    assert accuracy.accuracy.tolist() == [0.6, 1 / 3, 0.2, 0.2]
    assert list(accuracy) == ["model", "accuracy", "balanced_accuracy", "top5_accuracy"]
    pairs = pd.read_csv(tmp_path / "confusion.csv")
    assert pairs.actual.tolist() == [NAMES[label] for label in LABELS]
    assert pairs.predicted.tolist() == ["fall", "fall", "a$b$", "걷기", "fall"]
    recalls = pd.read_csv(tmp_path / "recall_per_class.csv")
    assert recalls["class"].tolist() == list(NAMES)
    assert recalls.videomamba.tolist() == [1.0, 0.5, 0.5]
    assert recalls.scratch.tolist() == [1.0, 0.0, 0.0]
    assert {"accuracy.png", "confusion.png"} < set(first)
    assert len(list((tmp_path / "examples").iterdir())) == 2


def test_plots_of_values(tmp_path):
    split = shown([1.0, 2.0, 4.0], [[1.5], [2.0], [1.0]], train=[2.0])
    first = drawn(tmp_path, split, examples=9)
    assert drawn(tmp_path, split, examples=9) == first
    assert pd.read_csv(tmp_path / "mse.csv").model.tolist() == ["videomamba", "zero", "constant"]
    values = pd.read_csv(tmp_path / "values.csv")
    assert values.predicted.tolist() == [1.5, 2.0, 1.0]
    assert {"mse.png", "values.png"} < set(first)
    assert "confusion.csv" not in first
    assert len(list((tmp_path / "examples").iterdir())) == 3


def test_examples_are_the_surest_mistakes_and_all_classes():
    split = answered(LABELS, ROWS, names=NAMES)
    assert pick_examples(split, 4) == [
        Example(1, WRONG), Example(4, WRONG), Example(0, SPREAD), Example(2, SPREAD),
    ]  # fmt: skip
    assert pick_examples(split, 0) == []
    assert len(pick_examples(split, 99)) == 5
    assert pick_examples(split, 1) == [Example(0, SPREAD)]


def test_examples_of_values_are_the_furthest_off():
    split = answered([0.0, 0.0, 0.0], [[1.0], [-3.0], [2.0]])
    assert pick_examples(split, 2)[0] == Example(1, FAR)
    assert len(pick_examples(split, 2)) == 2


def test_predictions_hold_what_the_numbers_follow_from(tmp_path):
    both = [
        answered(LABELS, ROWS, names=NAMES, scratch=np.eye(3)[[0, 0, 0, 0, 0]]),
        answered([0], [[0.2, 0.2, 0.6]], names=NAMES, scratch=[[0, 1, 0]]),
    ]
    write_tables(tmp_path, both)
    table = pd.read_parquet(tmp_path / "predictions.parquet")
    assert table.label.tolist() == [NAMES[label] for label in (*LABELS, 0)]
    assert (table.label == table.predicted)[:5].mean() == 0.6
    assert table["predicted.scratch"].tolist() == ["fall"] * 5 + ["a$b$"]
    assert table["probability.fall"].tolist() == [row[0] for row in ROWS] + [0.2]
    write_tables(tmp_path, [answered([1.0], [[2.0], [4.0]], views=2)])
    table = pd.read_parquet(tmp_path / "predictions.parquet")
    assert table.to_dict("records") == [
        {"split": "test", "video": "v0", "views": 2, "label": 1.0, "predicted": 3.0}
    ]

"""Hand-computed numbers of a split."""

import numpy as np
import pytest

from pipeline_lib.errors import DataError
from pipeline_lib.evaluation.videomamba.answers import Answers
from pipeline_lib.evaluation.videomamba.tree import split_tree
from tests.evaluation.videomamba.splits import answered, answers

NAMES = ("a", "b", "c")


def one_hot(*classes):
    return np.eye(len(NAMES))[list(classes)]


def test_classes_beside_their_controls():
    tree = split_tree(
        answered(
            [0, 0, 0, 1],
            one_hot(0, 0, 2, 1),
            names=NAMES,
            train=[1, 1, 2],
            missing=2,
            reversed=one_hot(0, 2, 2, 2),
        )
    )
    assert (tree["videos"], tree["views"], tree["missing"]) == (4, 4, 2)
    assert tree["video"]["accuracy"] == 0.75
    assert tree["video"]["balanced_accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    assert tree["video"]["recall"] == {"a": pytest.approx(2 / 3), "b": 1.0, "c": None}
    assert tree["video"]["top5_accuracy"] is None  # of three classes
    assert tree["view"]["accuracy"] == 0.75
    control = tree["control"]
    assert list(control) == ["chance", "majority", "reversed"]
    assert control["chance"]["video"]["accuracy"] == pytest.approx(1 / 3)
    assert control["majority"]["video"]["accuracy"] == 0.25
    assert control["majority"]["view"]["balanced_accuracy"] == 0.5
    assert control["reversed"]["video"]["accuracy"] == 0.25
    # Rightly named more by 0, 1, 0 and 1.
    assert tree["gain"]["reversed"]["accuracy"]["mean"] == 0.5
    assert tree["gain"]["reversed"]["accuracy"]["se"] == pytest.approx(0.5 / np.sqrt(3))


def test_views_are_averaged_before_a_class_is_named():
    # Of v0 one sure view outweighs two unsure ones; v1 has a single class in all.
    rows = [[0.9, 0.1], [0, 1], [0.4, 0.6], [0, 1], [0.4, 0.6], [0, 1]]
    tree = split_tree(answered([0, 1], rows, names=("a", "b"), views=3))
    assert (tree["videos"], tree["views"]) == (2, 6)
    assert tree["video"]["accuracy"] == 1.0
    assert tree["view"]["accuracy"] == pytest.approx(4 / 6)


def test_order_and_duplicates_of_views_change_no_number():
    rng = np.random.default_rng(1)
    rows = rng.dirichlet(np.ones(7), size=30)
    labels, names = rng.integers(0, 7, 10).tolist(), tuple("abcdefg")
    split = answered(labels, rows, names=names, views=3)
    tree = split_tree(split)
    own = split.answers["videomamba"]
    order = [*rng.permutation(30), 4, 5]
    shuffled = Answers(
        tuple(own.videos[i] for i in order), tuple(own.views[i] for i in order), own.rows[order]
    )
    split.answers["videomamba"] = shuffled
    assert split_tree(split)["video"] == tree["video"]
    assert split_tree(split)["views"] == 30
    assert tree["video"]["top5_accuracy"] is not None


def test_values_beside_their_controls():
    # The mean over views first, then the squared error: v0 (1 + 3) / 2 - 1, v1 0 - 2.
    tree = split_tree(
        answered(
            [1.0, 2.0],
            [[1.0], [0.0], [3.0], [0.0]],
            train=[0.0, 1.0],
            views=2,
            scratch=[[3.0], [0.0], [3.0], [0.0]],
        )
    )
    assert tree["video"]["mse"] == pytest.approx((1 + 4) / 2)
    assert tree["view"]["mse"] == pytest.approx((0 + 4 + 4 + 4) / 4)
    assert tree["video"]["mae"] == pytest.approx(1.5)
    assert tree["video"]["pearson"] == pytest.approx(-1)
    assert "recall" not in tree["video"]
    control = tree["control"]
    assert list(control) == ["zero", "constant", "scratch"]
    assert control["zero"]["video"]["mse"] == pytest.approx((1 + 4) / 2)
    assert control["constant"]["video"] == {
        "mse": pytest.approx((0.25 + 2.25) / 2),
        "mae": pytest.approx(1.0),
        "pearson": None,
        "spearman": None,
    }
    # Squared errors of the control less the own ones: 4 - 1 and 4 - 4.
    assert tree["gain"]["scratch"]["mse"] == {"mean": 1.5, "se": pytest.approx(1.5)}


def test_without_training_videos_there_is_no_majority():
    assert list(split_tree(answered([0], one_hot(0), names=NAMES))["control"]) == ["chance"]
    assert list(split_tree(answered([0.5], [[0.5]]))["control"]) == ["zero"]


def test_a_video_has_one_label():
    split = answered([0, 1], one_hot(0, 1), names=NAMES)
    items = split.clips.items
    twice = items[1].__class__("v0 again", "v0", items[0].path, 1)
    wrong = split.__class__(
        "test",
        split.clips.__class__((*items, twice), NAMES),
        {"videomamba": answers(["v0", "v1"], one_hot(0, 1))},
        None,
    )
    with pytest.raises(DataError, match="v0: is listed with label 0 and with 1"):
        split_tree(wrong)

import numpy as np
import pytest
import torch

from pipeline_lib.metrics.classification import accuracy, balanced_accuracy, recall
from pipeline_lib.metrics.logits import affine_logits
from pipeline_lib.metrics.predictions import Predictions
from pipeline_lib.trainers.coop import measuring
from pipeline_lib.trainers.coop.feature_rows import FeatureRows
from pipeline_lib.trainers.coop.measuring import linear_logits, measure
from pipeline_lib.trainers.coop.samples import Samples

CPU = torch.device("cpu")
NAMES = ("a", "b", "c")


def make(features, labels, video_of_window, video_labels):
    return Samples(
        FeatureRows(np.asarray(features, dtype=np.float32), CPU),
        np.asarray(labels, dtype=np.int64),
        np.asarray(video_of_window, dtype=np.int64),
        np.asarray(video_labels, dtype=np.int64),
    )


def test_values_by_hand():
    # Logits are the features; predictions 0, 1, 1, 0. Video 0 is of class 0 with means (.5, .6).
    features = [[0.9, 0.3, 0.0], [0.1, 0.9, 0.0], [0.0, 1.0, 0.0], [1.0, 0.2, 0.0]]
    samples = make(features, [0, 0, 1, 1], [0, 0, 1, 2], [0, 1, 1])
    row = measure(samples, linear_logits(torch.eye(3)), NAMES)
    assert row["val_accuracy"] == 0.5
    assert row["val_balanced_accuracy"] == 0.5
    assert row["val_video_accuracy"] == pytest.approx(1 / 3)
    assert (row["PerClass/a"], row["PerClass/b"], row["PerClass/c"]) == (0.5, 0.5, None)
    # Ranked for a: 2 of 4 pairs are in order; for b: 2; c is not there.
    assert row["AUC/val"] == 0.5
    logits = np.array(features)
    chosen = logits[np.arange(4), [0, 0, 1, 1]]
    expected = (np.log(np.exp(logits).sum(axis=1)) - chosen).mean()
    assert row["val_loss"] == pytest.approx(expected, abs=1e-6)


def test_videos_without_windows_count_nowhere():
    samples = make([[1, 0, 0]], [0], [1], [2, 0])
    assert measure(samples, linear_logits(torch.eye(3)), NAMES)["val_video_accuracy"] == 1.0


def many(n=500):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(n, 8))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    videos = rng.permutation(np.repeat(np.arange(n // 10), 10))
    return make(features, rng.integers(0, 2, n), videos, rng.integers(0, 3, n // 10))


def test_the_same_numbers_as_the_metrics_of_an_evaluation():
    samples = many()
    text = torch.nn.functional.normalize(torch.randn(3, 8, generator=torch.manual_seed(0)), dim=-1)
    row = measure(samples, linear_logits(text, 100.0), NAMES)
    logits = affine_logits(samples.rows.matrix, 100.0 * text.double().numpy(), np.zeros(3))
    predictions = Predictions.from_logits(samples.labels, logits, NAMES)
    assert row["val_accuracy"] == accuracy(predictions)
    assert row["val_balanced_accuracy"] == balanced_accuracy(predictions)
    assert {name: row[f"PerClass/{name}"] for name in NAMES} == recall(predictions)
    of_videos = np.stack([logits[samples.video_of_window == v].mean(axis=0) for v in range(50)])
    assert row["val_video_accuracy"] == (of_videos.argmax(axis=1) == samples.video_labels).mean()


@pytest.mark.parametrize("chunk", [1, 32, 4096])
def test_the_size_of_a_piece_changes_nothing(monkeypatch, chunk):
    samples, logits = many(), linear_logits(torch.eye(8)[:3], 20.0, torch.tensor([0.0, 0.1, -0.1]))
    whole = measure(samples, logits, NAMES)
    monkeypatch.setattr(measuring, "CHUNK", chunk)
    pieces = measure(samples, logits, NAMES)
    assert pieces.pop("val_loss") == pytest.approx(whole.pop("val_loss"), rel=1e-12)
    assert pieces == whole

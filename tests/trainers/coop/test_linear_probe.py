import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from pipeline_lib.trainers.coop import linear_probe
from pipeline_lib.trainers.coop.data import CoopData
from pipeline_lib.trainers.coop.feature_rows import FeatureRows
from pipeline_lib.trainers.coop.linear_probe import fit_linear_probe
from pipeline_lib.trainers.coop.measuring import linear_logits, measure
from pipeline_lib.trainers.coop.samples import Samples

CPU = torch.device("cpu")
NAMES = ("a", "b", "c", "d")


def split(labels, seed, noise=0.5):
    labels = np.asarray(labels, dtype=np.int64)
    rng = np.random.default_rng(seed)
    features = np.eye(8)[labels] + noise * rng.normal(size=(len(labels), 8))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    rows = FeatureRows(features.astype(np.float32), CPU)
    return Samples(rows, labels, np.arange(len(labels)), labels)


def data(train, val):
    return CoopData(
        class_names=NAMES,
        prompt_names=NAMES,
        normal_class=None,
        train=split(train, 0),
        val=split(val, 1),
        source={"directory": "clip"},
        device=CPU,
    )


def test_the_strength_that_is_best_on_val():
    made = data(np.arange(80) % 4, np.arange(200) % 4)
    probe = fit_linear_probe(made, 1, "balanced_accuracy")
    scores = {}
    for strength in linear_probe.STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=1000)
        model.fit(made.train.rows.matrix, made.train.labels)
        scores[strength] = model.score(made.val.rows.matrix, made.val.labels)
    assert probe.metadata["C"] == max(scores, key=scores.get)
    row = measure(made.val, linear_logits(probe.weight, bias=probe.bias), NAMES)
    assert row["val_accuracy"] == pytest.approx(max(scores.values()), abs=0.01)
    assert (probe.weight.dtype, probe.bias.dtype) == (torch.float32, torch.float32)


@pytest.mark.parametrize("classes", [[0, 2, 3], [1, 3], [2]])
def test_a_class_that_was_never_shown_is_never_predicted(classes):
    made = data(np.repeat(classes, 20), np.arange(40) % 4)
    probe = fit_linear_probe(made, 1, "accuracy")
    assert torch.isfinite(probe.bias).all()
    logits = made.val.rows.matrix @ probe.weight.numpy().T + probe.bias.numpy()
    assert set(logits.argmax(axis=1)) <= set(classes)
    row = measure(made.val, linear_logits(probe.weight, bias=probe.bias), NAMES)
    assert all(row[f"PerClass/{NAMES[index]}"] > 0.7 for index in classes)


def test_many_windows_are_drawn_evenly_and_counted(monkeypatch):
    monkeypatch.setattr(linear_probe, "MOST_WINDOWS", 40)
    made = data([0] * 500 + [1] * 30 + [2] * 5, np.arange(40) % 3)
    probe = fit_linear_probe(made, 1, "accuracy")
    assert probe.metadata["train_windows"] == 40
    again = fit_linear_probe(made, 1, "accuracy")
    assert torch.equal(probe.weight, again.weight)

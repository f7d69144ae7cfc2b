import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipeline_lib.trainers.curves import Curves, scalar_tag
from pipeline_lib.trainers.resume import Record


@pytest.mark.parametrize(
    ("column", "tag"),
    [
        ("lr", "LR"),
        ("train_loss", "Loss/train"),
        ("val_loss", "Loss/val"),
        ("train_accuracy", "Accuracy/train"),
        ("val_balanced_accuracy", "BalancedAccuracy/val"),
        ("grad_norm", "GradNorm"),
        ("PerClass/a_b", "PerClass/a_b"),
    ],
)
def test_scalar_tag(column, tag):
    assert scalar_tag(column) == tag


def read(directory):
    events = EventAccumulator(str(directory))
    events.Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def test_a_resumed_run_has_every_epoch_once(tmp_path):
    rows = [{"epoch": 1, "lr": 0.5, "val_loss": None}, {"epoch": 2, "lr": 0.25, "val_loss": 2.0}]
    with Curves(tmp_path, []) as curves:
        curves.add(rows[0])
    with Curves(tmp_path, rows[:1]) as curves:
        curves.add(rows[1])
    assert read(tmp_path) == {"LR": [(1, 0.5), (2, 0.25)], "Loss/val": [(2, 2.0)]}


def test_hyper_parameters_stand_beside_the_best_epoch(tmp_path):
    rows = [{"epoch": 1, "lr": 0.5, "val_accuracy": 0.75}]
    with Curves(tmp_path, rows) as curves:
        curves.finish({"n_ctx": 4, "names": {}, "init": None}, Record(rows, 1, 0.75))
    written = read(tmp_path)
    assert written["best/val_accuracy"][0][1] == 0.75
    assert "best/lr" not in written

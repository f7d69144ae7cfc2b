"""Whole trainings on clips in memory, from a start to published models."""

import json
import logging
from dataclasses import replace

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.videomamba_folder import open_videomamba, save_videomamba
from pipeline_lib.config import AugmentConfig, RuntimeConfig
from pipeline_lib.errors import ConfigError, WeightsError
from pipeline_lib.networks import videomamba
from pipeline_lib.networks.videomamba import VideoMamba, resolve_shape
from pipeline_lib.trainers.curves import scalar_tag
from pipeline_lib.trainers.videomamba import runs, training
from pipeline_lib.trainers.videomamba.measuring import centre_clips, measure
from pipeline_lib.trainers.videomamba.publishing import whole_history
from pipeline_lib.trainers.videomamba.starting import read_start, start_of
from pipeline_lib.trainers.videomamba.training import train_videomamba
from tests.trainers.videomamba.project import CLASSES, clips, config, outputs, places, splits


@pytest.fixture
def in_memory(monkeypatch):
    """Give trainings these splits instead of a folder's."""

    def use(data):
        monkeypatch.setattr(training, "open_splits", lambda *_, **__: data)

    use(splits())
    return use


def told(root, *parts):
    return json.loads((root / "models" / "videomamba" / "/".join(parts)).read_text())


def history(root):
    return pd.read_csv(root / "plots" / "history.csv")


def checkpoint(root, **changes):
    """A folder with random weights of seed 7."""
    shape = resolve_shape(config(**changes).model)
    torch.manual_seed(7)
    folder = root / "start"
    save_videomamba(folder, VideoMamba(shape, 2), {"classes": list(CLASSES)})
    return folder


def test_what_a_training_publishes(tmp_path, in_memory):
    trained = train_videomamba(config(save_every=2), places(tmp_path))
    made = {name.partition("videomamba/")[2] for name in outputs(tmp_path)}
    names = ("best", "final", "ep2")
    files = {f"{name}/{file}" for name in names for file in ("config.json", "model.safetensors")}
    assert made - {""} == files | {"config.json"}
    record = trained.run.record
    assert record.epoch == 3
    facts = told(tmp_path, "config.json")
    assert facts["classes"] == list(CLASSES)
    assert facts["training"]["start"] == "scratch"
    assert facts["training"]["steps"] == 9
    assert facts["settings"]["augment"]["repeats"] == 1
    assert facts["dataset"]["sampling"] == "sparse"
    assert facts["data"]["train"]["clips"] == 12
    assert facts["tokens"] == 1 + 4 * 4
    assert facts["scan"] in ("torch", "compiled")
    final = told(tmp_path, "final", "config.json")
    assert final["training"]["epoch"] == 3
    assert final["training"]["val"]["loss"] == record.history[-1]["val_loss"]
    assert final["dataset"]["sampling"] == "sparse"
    table = history(tmp_path)
    assert table["epoch"].tolist() == [1, 2, 3]
    assert table["val_loss"].tolist() == pytest.approx([row["val_loss"] for row in record.history])
    assert table["scratch_val_accuracy"].isna().all()
    assert not any((tmp_path / "scratch").iterdir())
    (curves,) = (tmp_path / "tensorboard").iterdir()
    events = EventAccumulator(str(curves))
    events.Reload()
    for column in ("lr", "train_loss", "grad_norm", "val_accuracy"):
        shown = [event.value for event in events.Scalars(scalar_tag(column))]
        assert shown == pytest.approx(table[column].tolist()), column


def test_a_published_model_says_what_was_measured(tmp_path, in_memory):
    trained = train_videomamba(config(), places(tmp_path))
    loaded = open_videomamba(tmp_path / "models" / "videomamba" / "best", Placement())
    assert (loaded.classes, loaded.task) == (CLASSES, "classification")
    val = trained.splits.val
    seen = centre_clips(val, range(8), size=32, batch_size=3, workers=0)
    row = measure(torch.cat([loaded.logits(batch) for batch in seen]), val)
    for name, value in row.items():
        assert value == pytest.approx(trained.run.record.best[name], rel=1e-5)


class Killed(BaseException):
    """Stands for a process that ends here."""


@pytest.mark.parametrize("dies_in", [("start", 2), ("scratch", 3)])
def test_a_killed_training_goes_on_to_the_same_bytes(tmp_path, in_memory, monkeypatch, dies_in):
    start = checkpoint(tmp_path)
    chosen = config(
        start=str(start), compare_scratch=True, augment=AugmentConfig(), head_dropout=0.1
    )
    train_videomamba(chosen, places(tmp_path))
    straight, done = outputs(tmp_path), []

    class Mortal(runs.VideoMambaTask):
        dies = True

        def train_epoch(self, epoch):
            place = (which[0], epoch)
            if self.dies and place == dies_in:
                raise Killed
            done.append(place)
            return super().train_epoch(epoch)

    which = [""]
    original = runs.Training.run

    def run(self, begun, **options):
        which[0] = "scratch" if begun.facts["start"] == "scratch" else "start"
        return original(self, begun, **options)

    monkeypatch.setattr(runs, "VideoMambaTask", Mortal)
    monkeypatch.setattr(runs.Training, "run", run)
    with pytest.raises(Killed):
        train_videomamba(chosen, places(tmp_path))
    torch.rand(5)
    Mortal.dies = False
    train_videomamba(chosen, places(tmp_path))
    assert done == [(name, epoch) for name in ("start", "scratch") for epoch in (1, 2, 3)]
    assert outputs(tmp_path) == straight


def test_the_control_is_the_same_training_from_random_weights(tmp_path, in_memory):
    start = checkpoint(tmp_path)
    trained = train_videomamba(
        config(
            start=str(start),
            compare_scratch=True,
            layer_decay=0.9,
            patience=2,
            epochs=6,
            save_every=1,
        ),
        places(tmp_path),
    )
    assert trained.control.record.epoch == trained.run.record.epoch
    out = tmp_path / "models" / "videomamba"
    assert {path.name for path in (out / "scratch").iterdir()} == {"best", "final"}
    facts = told(tmp_path, "config.json")
    assert facts["scratch"]["start"] == "scratch"
    assert facts["scratch"]["steps"] == facts["training"]["steps"]
    assert facts["training"]["layer_decay"] == 0.9
    assert facts["scratch"]["layer_decay"] == 1.0
    assert facts["training"]["start"] == start.as_posix()
    assert facts["training"]["fresh"] == []
    table = history(tmp_path)
    control = [row["val_loss"] for row in trained.control.record.history]
    assert table["scratch_val_loss"].tolist() == pytest.approx(control)
    # Alone, from the same seed, it would have ended as it did.
    alone = train_videomamba(config(epochs=6), places(tmp_path / "alone"))
    rows = alone.run.record.history[: len(control)]
    assert [row["val_loss"] for row in rows] == control


def test_a_control_of_itself_is_refused(tmp_path, in_memory):
    with pytest.raises(ConfigError, match=r"trains the same network twice(.|\n)*start: pretrained"):
        train_videomamba(config(compare_scratch=True), places(tmp_path))


def test_a_start_is_adapted_to_longer_clips_and_other_classes(tmp_path, in_memory, caplog):
    folder = checkpoint(tmp_path, model={"frames": 2})
    chosen = config(start=str(folder), lr=1e-9, min_lr=0.0, warmup_lr=0.0, weight_decay=0.0)
    with caplog.at_level(logging.INFO):
        train_videomamba(chosen, places(tmp_path))
    facts = told(tmp_path, "config.json")["training"]
    assert facts["adapted"] == {"temporal_pos_embedding": "2 to 4 steps"}
    assert "1 adapted" in caplog.text
    final = load_file(tmp_path / "models" / "videomamba" / "final" / "model.safetensors")
    begun = load_file(folder / "model.safetensors")
    torch.testing.assert_close(final["head.weight"], begun["head.weight"], atol=1e-6, rtol=0)
    chosen, shape = config(start=str(folder)), resolve_shape(config().model)
    other = start_of(
        chosen, shape, ("a", "b", "c"), read_start(chosen, shape, tmp_path),
        drop_path=0.0, scan="torch",
    )  # fmt: skip
    assert other.facts["fresh"] == ["head.weight", "head.bias"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"start": "scrach"}, "no scrach(.|\n)*Did you mean 'scratch'"),
        ({"model": {"depth": 3}}, "depth 2 instead of 3"),
    ],
)
def test_a_start_that_cannot_be_is_told_before_any_video_is_decoded(tmp_path, changes, said):
    chosen = config(**{"start": str(checkpoint(tmp_path)), **changes})
    with pytest.raises(WeightsError, match=said):  # and there are no videos either
        train_videomamba(chosen, places(tmp_path))


def test_a_warm_up_of_all_epochs_is_told(tmp_path, in_memory, caplog):
    train_videomamba(config(epochs=1, warmup_epochs=1), places(tmp_path))
    assert "training ends before the rate reaches train.videomamba.lr" in caplog.text


def test_the_own_pretraining_is_found_or_asked_for(tmp_path, in_memory):
    with pytest.raises(WeightsError, match=r"train\.py videomamba_pretrain"):
        train_videomamba(config(start="pretrained"), places(tmp_path))
    shape = resolve_shape(config().model)
    tensors = VideoMamba(shape, 2).state_dict()
    pretrain = {n: t for n, t in tensors.items() if not n.startswith(("head.", "norm_f."))}
    pretrain["norm.weight"] = torch.ones(16)
    pretrain["clip_decoder.0.head.weight"] = torch.zeros(8, 16)
    save_videomamba(places(tmp_path).pretrained, pretrain, {})
    train_videomamba(config(start="pretrained", epochs=1), places(tmp_path))
    facts = told(tmp_path, "config.json")["training"]
    assert facts["fresh"] == ["norm_f.weight", "head.weight", "head.bias"]
    assert facts["left"] == ["clip_decoder.0.head.weight", "norm.weight"]


def test_values_choose_the_epoch_with_the_smallest_error(tmp_path, in_memory):
    in_memory(splits(values=True))
    trained = train_videomamba(config(task="regression", epochs=5), places(tmp_path))
    table = history(tmp_path)
    assert trained.run.record.best_epoch == table.loc[table["val_mse"].idxmin(), "epoch"]
    model = told(tmp_path, "best", "config.json")
    assert (model["classes"], model["task"]) == (None, "regression")
    tensors = load_file(tmp_path / "models" / "videomamba" / "best" / "model.safetensors")
    assert tensors["head.weight"].shape == (1, 16)
    assert list(table.columns[-4:]) == [
        f"scratch_{name}" for name in ("train_loss", "val_loss", "val_mse", "val_mae")
    ]


@pytest.mark.parametrize(
    ("changes", "column"),
    [({"select": "loss"}, "val_loss"), ({"select": "accuracy"}, "val_accuracy")],
)
def test_what_chooses_the_best_epoch(tmp_path, in_memory, changes, column):
    trained = train_videomamba(config(**changes, epochs=6), places(tmp_path))
    table = history(tmp_path)
    best = table[column].min() if column == "val_loss" else table[column].max()
    ties = table[table[column] == best]
    assert trained.run.record.best_epoch == ties.loc[ties["val_loss"].idxmin(), "epoch"]


def test_without_val_videos_the_last_epoch_is_the_best_or_none_is(tmp_path, in_memory):
    data = splits()
    in_memory(replace(data, val=None))
    with pytest.raises(ConfigError, match=r"no val videos(.|\n)*select: last"):
        train_videomamba(config(), places(tmp_path))
    trained = train_videomamba(config(select="last", epochs=2), places(tmp_path))
    assert trained.run.record.best_epoch == 2
    assert history(tmp_path)["val_loss"].isna().all()


def test_one_class_is_nothing_to_learn(tmp_path, in_memory):
    data = splits()
    listed = replace(data.train.listed, classes=("down",))
    in_memory(replace(data, train=replace(data.train, listed=listed)))
    with pytest.raises(ConfigError, match=r"one class, 'down'(.|\n)*regression"):
        train_videomamba(config(), places(tmp_path))


def test_a_run_that_diverges_names_its_rate(tmp_path, in_memory):
    with pytest.raises(ConfigError, match=r"diverged(.|\n)*train\.videomamba\.lr"):
        train_videomamba(config(lr=1e30), places(tmp_path))


def test_the_same_training_gives_the_same_bytes_and_another_seed_others(tmp_path, in_memory):
    found = []
    for seed in (0, 0, 1):
        train_videomamba(config(epochs=1, seed=seed), places(tmp_path))
        found.append(outputs(tmp_path)["models/videomamba/final/model.safetensors"])
    assert found[0] == found[1] != found[2]


def test_the_columns_of_the_control_are_there_without_it(tmp_path, in_memory):
    trained = train_videomamba(config(epochs=2), places(tmp_path))
    record = trained.run.record
    table = whole_history(record, None, "classification")
    assert table["scratch_train_loss"].isna().all()
    table = whole_history(record, record, "classification")
    assert table["scratch_train_loss"].tolist() == table["train_loss"].tolist()


def test_clips_of_a_split_are_counted_with_their_videos():
    facts = clips("train", 6, windows=3).facts()
    assert (facts["clips"], facts["videos"], facts["missing"]) == (6, 2, 0)


def test_the_control_does_not_stop_early(tmp_path, in_memory, monkeypatch):
    tasks = []

    class Scripted(runs.VideoMambaTask):
        """Better in each epoch, but for the second network, which is the control."""

        def __init__(self, *given, **options):
            super().__init__(*given, **options)
            tasks.append(self)
            self.measured = 0

        def validate(self):
            self.measured += 1
            better = 0.01 * self.measured if self is tasks[0] else 0.0
            return {**super().validate(), "val_accuracy": better, "val_loss": 1.0}

    monkeypatch.setattr(runs, "VideoMambaTask", Scripted)
    start = str(checkpoint(tmp_path))
    trained = train_videomamba(
        config(start=start, compare_scratch=True, patience=1, epochs=4), places(tmp_path)
    )
    assert trained.run.record.epoch == trained.control.record.epoch == 4


def test_checkpointing_reaches_both_networks_and_changes_no_result(
    tmp_path, in_memory, monkeypatch
):
    recomputed, real = [], videomamba.checkpoint

    def recomputing(block, *given, **options):
        recomputed.append(block)
        return real(block, *given, **options)

    monkeypatch.setattr(videomamba, "checkpoint", recomputing)
    chosen = {"start": str(checkpoint(tmp_path)), "compare_scratch": True, "epochs": 1}
    plain = train_videomamba(config(**chosen), places(tmp_path / "plain"))
    assert not recomputed
    spared = train_videomamba(
        config(**chosen, grad_checkpointing=True), places(tmp_path / "spared")
    )
    assert len(set(recomputed)) == 2 * 2  # blocks of either network
    for one, other in ((plain.run, spared.run), (plain.control, spared.control)):
        assert other.record.history[0] == pytest.approx(one.record.history[0], rel=1e-4)


def test_a_scan_that_cannot_run_is_told_before_videos_are_read(tmp_path):
    with pytest.raises(ConfigError, match=r"runtime\.scan"):
        train_videomamba(config(), places(tmp_path), runtime=RuntimeConfig(scan="cuda"))

import logging

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline_lib.datasets.window_store import open_store
from pipeline_lib.errors import DataError
from pipeline_lib.trainers.checkpoints import read_checkpoint
from pipeline_lib.trainers.coop import task as coop_task
from pipeline_lib.trainers.coop.data import load_data
from pipeline_lib.trainers.coop.prompts import load_prompts
from pipeline_lib.trainers.coop.runs import (
    LINEAR_PROBE,
    RANDOM_INIT,
    SHUFFLED_LABELS,
    planned_runs,
    seed_folder,
    train_prompts,
)
from pipeline_lib.trainers.coop.training import train_coop
from tests.trainers.project import ROWS, config, tower, write_project


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return write_project(tmp_path_factory.mktemp("project"))


def load(project, settings, backbone="clip"):
    return load_data(settings, tower(), open_store(project.windows / backbone))


def elsewhere(project, folder):
    """The same windows with results in ``folder``."""
    return type(project)(
        windows=project.windows,
        out=folder / "out",
        history=folder / "history.csv",
        tensorboard=folder / "tensorboard",
        scratch=folder / "scratch",
    )


@pytest.fixture(scope="module")
def seeds(project, tmp_path_factory):
    """Three seeds, trained once."""
    places = elsewhere(project, tmp_path_factory.mktemp("seeds"))
    settings = config(seeds=(4, 2, 4, 9), epochs=2)
    return places, settings, train_coop(settings, tower(), places)


def test_one_folder_a_seed_and_the_first_on_top(seeds):
    places, settings, record = seeds
    folders = sorted(path.name for path in places.out.iterdir() if path.is_dir())
    assert folders == [SHUFFLED_LABELS, seed_folder(2), seed_folder(9)]
    found = {
        folder: read_checkpoint(places.out / folder / "coop_best.safetensors")[1]["seed"]
        for folder in ("", SHUFFLED_LABELS, "seed_2", "seed_9")
    }
    assert found == {"": 4, SHUFFLED_LABELS: 4, "seed_2": 2, "seed_9": 9}
    assert len(pd.read_csv(places.out / "seed_2" / "history.csv")) == 2
    assert record.epoch == settings.epochs
    assert len(list(places.tensorboard.iterdir())) == 4


def test_a_seed_of_several_is_the_run_of_that_seed_alone(seeds, project, tmp_path):
    places, _, _ = seeds
    alone = elsewhere(project, tmp_path)
    train_coop(config(seeds=(2,), epochs=2), tower(), alone)
    tensors, metadata = read_checkpoint(places.out / "seed_2" / "coop_final.safetensors")
    expected, described = read_checkpoint(alone.out / "coop_final.safetensors")
    assert torch.equal(tensors["ctx"], expected["ctx"])
    assert metadata["val"] == described["val"]


def test_the_description_holds_all_that_decided(seeds):
    places, _, _ = seeds
    _, metadata = read_checkpoint(places.out / "coop_best.safetensors")
    assert metadata["recipe"] == {
        "optimizer": "sgd", "lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4, "epochs": 2,
        "batch_size": 8, "accumulate": 1, "drop_last": True, "schedule": "epoch",
        "warmup_epochs": 1, "warmup_lr": 1e-5, "patience": 0, "precision": "fp32",
    }  # fmt: skip
    assert metadata["temporal_agg"] == "mean"
    assert metadata["unit_duration"] == 1
    assert metadata["normal_class"] == "normal"
    assert metadata["train_windows_per_class"] == dict.fromkeys(("fall", "normal", "run"), 18)
    assert set(metadata["val"]) == {"loss", "accuracy", "balanced_accuracy", "video_accuracy"}


def test_what_is_finished_is_not_trained_again(project, tmp_path, monkeypatch):
    places = elsewhere(project, tmp_path)
    settings = config(seeds=(1, 2), epochs=3, control_backbone="noise")
    straight = elsewhere(project, tmp_path / "straight")
    train_coop(settings, tower(), straight)
    trained = []
    train_epoch = coop_task.CoopTask.train_epoch

    def dying(limit):
        def train(task, epoch):
            if len(trained) == limit:
                raise KeyboardInterrupt
            trained.append(epoch)
            return train_epoch(task, epoch)

        return train

    for limit in (5, 8, 99):
        monkeypatch.setattr(coop_task.CoopTask, "train_epoch", dying(limit))
        if limit < 99:
            with pytest.raises(KeyboardInterrupt):
                train_coop(settings, tower(), places)
            assert not places.out.exists()
    train_coop(settings, tower(), places)
    assert trained == [1, 2, 3] * 4
    names = sorted(str(p.relative_to(straight.out)) for p in straight.out.rglob("*.*"))
    assert len(names) > 15
    for name in names:
        assert (places.out / name).read_bytes() == (straight.out / name).read_bytes(), name
    assert not any(places.scratch.iterdir())


def test_windows_packed_with_other_options_are_refused(project, tmp_path):
    with pytest.raises(DataError, match=r"temporal_agg = 'mean', now it is 'max'(.|\n)*dvc repro"):
        train_coop(config(temporal_agg="max"), tower(), elsewhere(project, tmp_path))


def test_shots_are_drawn_by_the_seed_of_each_run(project):
    settings = config(shots=2, seeds=(1, 2), control_backbone="noise")
    data, noise = load(project, settings), load(project, settings, "noise")
    runs = {run.folder: run.data for run in planned_runs(settings, data, noise)}
    assert all(
        run.windows_per_class() == {"fall": 2, "normal": 2, "run": 2} for run in runs.values()
    )
    features = {folder: run.train.rows.matrix.tolist() for folder, run in runs.items()}
    assert features[""] == features[SHUFFLED_LABELS]
    assert features[""] != features["seed_2"]
    videos = {folder: run.train.video_of_window.tolist() for folder, run in runs.items()}
    assert videos[""] == videos[RANDOM_INIT]
    assert len(set(videos[""])) == 6


def test_too_few_windows_for_the_shots_are_told(project, caplog):
    caplog.set_level(logging.INFO)
    data = load(project, config()).with_shots(100, 1)
    assert len(data.train) == 3 * 3 * ROWS
    assert "class 'fall' has only 18 of 100 shots" in caplog.text


def test_shuffled_labels_are_a_permutation_and_val_stays_true(project):
    data = load(project, config())
    shuffled = data.with_shuffled_labels(1)
    assert shuffled.windows_per_class() == data.windows_per_class()
    assert not np.array_equal(shuffled.train.labels, data.train.labels)
    assert shuffled.val is data.val
    assert shuffled.train.rows is data.train.rows


@pytest.mark.parametrize("keep", ["best", "final"])
def test_prompts_trained_in_memory_are_those_of_the_files(project, tmp_path, keep):
    places = elsewhere(project, tmp_path)
    settings = config(epochs=3, shots=4, seeds=(5,))
    train_coop(settings, tower(), places)
    loaded = load_prompts(places.out / f"coop_{keep}.safetensors", tower())
    data = load(project, settings).with_shots(4, 5)
    task = train_prompts(settings, tower(), data, 5, keep)
    assert torch.equal(task.text_features(), loaded.text_features)
    assert not (places.scratch.exists() and any(places.scratch.iterdir()))


def test_the_probe_stands_beside_the_prompts(seeds):
    places, _, _ = seeds
    tensors, metadata = read_checkpoint(places.out / LINEAR_PROBE)
    assert (tensors["weight"].shape, tensors["bias"].shape) == ((3, 32), (3,))
    assert metadata["trainer"] == "linear_probe"
    assert metadata["class_names"] == ["fall", "normal", "run"]
    assert metadata["features"]["weights_sha256"] == "small"
    assert metadata["train_windows"] == 54

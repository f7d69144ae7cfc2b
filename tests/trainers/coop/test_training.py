import json
import logging
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipeline_lib.config import DataConfig, Params
from pipeline_lib.datasets.window_store import open_store
from pipeline_lib.errors import ConfigError, DataError, WeightsError
from pipeline_lib.networks.text_towers import text_tower
from pipeline_lib.runtime.progress import SILENT
from pipeline_lib.trainers import TRAINERS
from pipeline_lib.trainers.checkpoints import read_checkpoint, write_checkpoint
from pipeline_lib.trainers.coop.prompts import load_prompts
from pipeline_lib.trainers.coop.runs import LINEAR_PROBE, RANDOM_INIT, SHUFFLED_LABELS
from pipeline_lib.trainers.coop.training import train_coop
from tests.support.text_models import small_model, tokenizer
from tests.trainers.project import (
    CLASSES,
    config,
    pack,
    tower,
    videos,
    window_table,
    write_project,
    write_store,
)
from tests.trainers.project import (
    places as places_in,
)

COLUMNS = [
    "epoch",
    "lr",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "val_balanced_accuracy",
    "val_video_accuracy",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project that was trained once, with its control."""
    places = write_project(tmp_path_factory.mktemp("project"))
    settings = config(control_backbone="noise", csc=True, epochs=8, save_every=4)
    return places, settings, train_coop(settings, tower(), places)


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_what_a_run_writes(trained):
    places, _, _ = trained
    own = [
        "config.json",
        "coop_best.safetensors",
        "coop_ep4.safetensors",
        "coop_ep8.safetensors",
        "coop_final.safetensors",
    ]
    controls = [
        f"{control}/{name}"
        for control in (RANDOM_INIT, SHUFFLED_LABELS)
        for name in [*own, "history.csv"]
    ]
    assert sorted(files(places.out)) == sorted([*own, *controls, LINEAR_PROBE])
    assert not any(places.scratch.iterdir())


@pytest.mark.parametrize("control", [RANDOM_INIT, SHUFFLED_LABELS])
def test_prompts_learn_what_features_show_and_the_controls_do_not(trained, control):
    places, _, record = trained
    history = pd.read_csv(places.out / control / "history.csv")
    assert record.best["val_balanced_accuracy"] > 0.9
    assert history["val_balanced_accuracy"].iloc[-1] < 0.6


def test_the_history(trained):
    places, settings, record = trained
    table = pd.read_csv(places.history)
    assert list(table.columns) == COLUMNS
    assert table["epoch"].tolist() == list(range(1, 9))
    assert table["lr"].tolist()[:2] == [1e-5, settings.lr]
    assert table["val_accuracy"].max() == record.best["val_accuracy"]


def test_a_checkpoint_describes_itself(trained):
    places, settings, record = trained
    with safe_open(places.out / "coop_best.safetensors", framework="pt") as file:
        assert list(file.keys()) == ["ctx"]
        assert file.get_tensor("ctx").shape == (3, 4, 64)
        assert list(file.metadata()) == ["clipline"]
        metadata = json.loads(file.metadata()["clipline"])
    assert metadata["class_names"] == list(CLASSES)
    assert metadata["weights_sha256"] == "small"
    assert metadata["features"]["directory"] == "clip"
    assert metadata["features"]["weights_id"] == "model"
    assert metadata["epoch"] == record.best_epoch
    assert metadata["config"]["csc"] is True
    assert metadata["val"]["accuracy"] == record.best["val_accuracy"]
    assert settings.n_ctx == metadata["n_ctx"]


@pytest.mark.parametrize("name", ["coop_best", "coop_ep4", "coop_final"])
def test_a_checkpoint_measures_what_it_says(trained, name):
    places, _, _ = trained
    loaded = load_prompts(places.out / f"{name}.safetensors", tower())
    val = open_store(places.windows / "clip").split("val", loaded.class_names)
    logits = val.features.astype(np.float64) @ loaded.text_features.numpy().astype(np.float64).T
    assert (logits.argmax(1) == val.labels).mean() == loaded.metadata["val"]["accuracy"]


def test_the_curves(trained):
    places, _, record = trained
    runs = [EventAccumulator(str(path)) for path in sorted(places.tensorboard.iterdir())]
    for run in runs:
        run.Reload()
    scalars = set(runs[0].Tags()["scalars"])
    expected = ["Loss/train", "Loss/val", "Accuracy/train", "Accuracy/val", "LR"]
    expected += ["BalancedAccuracy/val", "VideoAccuracy/val", "AUC/val"]
    assert scalars >= {*expected, *(f"PerClass/{c}" for c in CLASSES)}
    curves = [[event.value for event in run.Scalars("Loss/val")] for run in runs]
    assert pytest.approx([row["val_loss"] for row in record.history], rel=1e-6) in curves


def test_the_same_inputs_give_the_same_bytes(trained, tmp_path):
    places, settings, _ = trained
    again = replace(places, out=tmp_path / "out", history=tmp_path / "h.csv")
    train_coop(settings, tower(), again)
    assert files(again.out) == files(places.out)
    assert again.history.read_bytes() == places.history.read_bytes()


def test_the_trainer_is_registered():
    assert "coop" in TRAINERS
    with pytest.raises(ConfigError, match=r"Unknown trainer 'copp'.\n  Did you mean 'coop'"):
        TRAINERS.get("copp")


def test_one_process_of_several_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.distributed, "is_torchelastic_launched", lambda: True)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    params = Params(data=DataConfig(root="data"))
    with pytest.raises(ConfigError, match="train coop is the work of one process"):
        TRAINERS.get("coop")(params, scratch=tmp_path, progress=SILENT)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    root = tmp_path_factory.mktemp("template")
    write_project(root)
    return root


@pytest.fixture
def project(template, tmp_path):
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return places_in(tmp_path)


def test_nothing_of_an_earlier_training_stays(project):
    stale = project.out / "seed_9" / "coop_best.safetensors"
    stale.parent.mkdir(parents=True)
    stale.touch()
    (project.out / "coop_ep99.safetensors").touch()
    train_coop(config(epochs=1, save_every=0), tower(), project)
    assert not stale.exists()
    assert not (project.out / "coop_ep99.safetensors").exists()


def test_fewer_windows_than_one_batch_still_train(project):
    record = train_coop(config(batch_size=4096, warmup_epochs=0), tower(), project)
    assert record.history[0]["train_loss"] != record.history[1]["train_loss"]


@pytest.mark.parametrize("warmup_epochs", [0, 4, 9])
def test_any_number_of_warmup_epochs(project, warmup_epochs):
    settings = config(warmup_epochs=warmup_epochs)
    record = train_coop(settings, tower(), project)
    assert max(row["lr"] for row in record.history) <= settings.lr
    assert record.epoch == 4


def test_a_class_without_kept_windows_keeps_its_index(project, caplog):
    table = window_table(videos())
    lost = (table["split"] == "train") & (table["class_name"] == "fall")
    table.loc[lost, "kept"] = False
    table.loc[lost, "label"] = ""
    pack(project.windows.parent, table)
    record = train_coop(config(), tower(), project)
    loaded = load_prompts(project.out / "coop_best.safetensors", tower())
    assert loaded.class_names == CLASSES
    assert record.history[0]["PerClass/fall"] is not None
    assert "class 'fall' has no training window" in caplog.text


def test_a_class_without_val_windows_has_no_recall_and_shifts_no_label(project):
    table = window_table(videos())
    of_val = (table["split"] == "val") & (table["class_name"] == "fall")
    pack(project.windows.parent, table[~of_val])
    record = train_coop(config(csc=True, epochs=6), tower(), project)
    assert record.best["PerClass/fall"] is None
    assert record.best["PerClass/run"] > 0.8


def test_class_names_are_worded_by_the_user(project, caplog):
    words = {"run": "a person running", "fall": "쓰러짐"}
    caplog.set_level(logging.WARNING)
    train_coop(config(class_names=words), tower(), project)
    loaded = load_prompts(project.out / "coop_best.safetensors", tower())
    assert loaded.metadata["prompt_names"] == ["쓰러짐", "normal", "a person running"]
    assert "class 'fall': the text tower spells '쓰러짐' in pieces of characters" in caplog.text


def test_words_for_a_class_that_is_not_there_are_refused(project):
    with pytest.raises(ConfigError, match=r"no class 'normale'.\n  Did you mean 'normal'"):
        train_coop(config(class_names={"normale": "x"}), tower(), project)


def test_a_class_without_words_is_refused(project):
    with pytest.raises(ConfigError, match=r"train\.class_names\.fall is empty"):
        train_coop(config(class_names={"fall": " _ "}), tower(), project)


def test_a_warm_up_as_long_as_the_training_is_told(project, caplog):
    train_coop(config(epochs=2, warmup_epochs=2), tower(), project)
    assert "train.warmup_epochs = 2 and train.epochs = 2: training ends before" in caplog.text


def test_features_of_other_weights_are_refused(project):
    write_store(project.windows.parent, videos(), weights_sha256="other")
    with pytest.raises(WeightsError, match=r"weights other.*tower has small(.|\n)*dvc repro"):
        train_coop(config(), tower(), project)


def test_untrained_features_are_refused_unless_allowed(project):
    write_store(project.windows.parent, videos(), trained=False)
    with pytest.raises(WeightsError, match=r"untrained weights(.|\n)*allow_untrained"):
        train_coop(config(), tower(), project)
    train_coop(config(allow_untrained=True, epochs=1), tower(), project)
    loaded = load_prompts(project.out / "coop_final.safetensors", tower())
    assert loaded.metadata["features"]["trained"] is False


def test_features_of_another_size_are_refused(project):
    write_store(project.windows.parent, videos(), dim=16)
    with pytest.raises(WeightsError, match="have 16 dimensions, the text tower has 32"):
        train_coop(config(), tower(), project)


def test_a_trained_control_is_refused_before_anything_is_trained(project):
    with pytest.raises(WeightsError, match="control_backbone = 'clip' has trained weights"):
        train_coop(config(control_backbone="clip"), tower(), project)
    assert not project.scratch.exists()


def test_a_warm_up_above_the_base_rate_is_refused(project):
    with pytest.raises(ConfigError, match=r"warmup_lr = 1e-05 is above train\.lr = 1e-06"):
        train_coop(config(lr=1e-6), tower(), project)
    train_coop(config(lr=1e-6, warmup_epochs=0, epochs=1), tower(), project)


def test_one_class_is_nothing_to_learn(project):
    write_store(project.windows.parent, videos(classes=["run"]))
    with pytest.raises(DataError, match="one class, 'run'"):
        train_coop(config(), tower(), project)


def test_prompts_are_not_used_with_another_text_tower(trained):
    places, _, _ = trained
    other = text_tower(small_model(), tokenizer(), weights_sha256="another")
    with pytest.raises(WeightsError, match=r"trained with text tower small, .* is another"):
        load_prompts(places.out / "coop_best.safetensors", other)


def test_a_context_of_another_size_is_refused(trained, tmp_path):
    places, _, _ = trained
    tensors, metadata = read_checkpoint(places.out / "coop_best.safetensors")
    own = tensors["ctx"][:2]  # for two of three classes
    write_checkpoint(tmp_path / "x.safetensors", {"ctx": own}, metadata)
    with pytest.raises(WeightsError, match=r"'ctx' should be 3 x any x \d+, not 2 x 4 x"):
        load_prompts(tmp_path / "x.safetensors", tower())

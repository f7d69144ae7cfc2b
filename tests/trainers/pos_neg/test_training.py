import json
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import open_clip
import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.clip import load_clip
from pipeline_lib.config import (
    ClipConfig,
    DataConfig,
    ExtractConfig,
    Params,
    RuntimeConfig,
    TrainSection,
)
from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.runtime.distributed import ALONE
from pipeline_lib.runtime.progress import SILENT
from pipeline_lib.trainers import TRAINERS
from pipeline_lib.trainers.curves import scalar_tag
from pipeline_lib.trainers.loop import warn_of_harm
from pipeline_lib.trainers.pos_neg import training
from pipeline_lib.trainers.pos_neg.training import train_pos_neg
from pipeline_lib.trainers.resume import Record
from tests.trainers.pos_neg.project import (
    config,
    outputs,
    places,
    section,
    wanted,
    write_mined,
)
from tests.trainers.test_resume import kill_after

ROOT = Path(__file__).parents[3]
SLOW = {"epochs": 24, "loss": "bce", "save_every": 12, "batch_size": 3}
PROGRAM = f"""
import sys
from pathlib import Path
from pipeline_lib.trainers.pos_neg.training import train_pos_neg
from tests.trainers.pos_neg.project import config, places, section
root = Path(sys.argv[1])
train_pos_neg(config(**{SLOW!r}), section(root), places(root), threads=1)
"""


def run(root, settings, items=None):
    write_mined(root / "mined", wanted() if items is None else items)
    return train_pos_neg(settings, section(root), places(root), threads=1)


def history(root):
    return pd.read_csv(root / "plots" / "history.csv")


def test_what_is_published(tmp_path):
    trained = run(tmp_path, config(save_every=2, loss="bce"))
    out = tmp_path / "models" / "pos_neg"
    assert sorted(path.name for path in out.iterdir()) == [
        "best", "config.json", "ep2", "final", "split.csv",
    ]  # fmt: skip
    table = history(tmp_path)
    assert table["epoch"].tolist() == [1, 2, 3]
    assert list(table.columns) == [
        "epoch", "lr", "train_loss", "grad_norm", "logit_scale", "val_loss",
        "val_average_precision", "val_probability", "val_chance_probability",
    ]  # fmt: skip
    facts = json.loads((out / "config.json").read_text())
    best = facts["checkpoints"]["best"]
    assert best["epoch"] == trained.record.best_epoch
    assert best["val"]["average_precision"] == table["val_average_precision"].max()
    assert facts["data"] | {"sha256": ""} == {
        "sha256": "", "train_items": 10, "val_items": 4, "captions": 3,
        # Five each, but three of item 1, of which two are item 0's as well.
        "frames": 13 * 5 + 1,
    }  # fmt: skip
    assert facts["val_before"] == trained.before
    assert pd.read_csv(out / "split.csv")["split"].value_counts().to_dict() == {
        "train": 10, "val": 4,
    }  # fmt: skip
    assert not any((tmp_path / "scratch").iterdir())


def test_every_published_model_is_that_of_its_epoch(tmp_path):
    best = run(tmp_path, config(save_every=1)).record.best_epoch
    out = tmp_path / "models" / "pos_neg"
    names = ("ep1", "ep2", "ep3", "best", "final")
    weights = {name: (out / name / "open_clip_model.safetensors").read_bytes() for name in names}
    assert len({weights["ep1"], weights["ep2"], weights["ep3"]}) == 3
    assert weights["best"] == weights[f"ep{best}"]
    assert weights["final"] == weights["ep3"]
    told = json.loads((out / "config.json").read_text())["checkpoints"]
    assert {name: told[name]["epoch"] for name in names} == {
        "ep1": 1, "ep2": 2, "ep3": 3, "best": best, "final": 3,
    }  # fmt: skip


def test_a_published_model_is_a_clip(tmp_path):
    run(tmp_path, config())
    folder = tmp_path / "models" / "pos_neg" / "best"
    backbone = load_clip(ClipConfig(model=f"local-dir:{folder}"), Placement())
    start = load_clip(section(tmp_path), Placement())
    assert backbone.trained
    assert backbone.encode_texts(["Where is red?"]) != pytest.approx(
        start.encode_texts(["Where is red?"])
    )
    model, _ = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    assert model.visual.output_dim == 16


@pytest.mark.parametrize("changes", [{}, {"mode": "lora"}, {"mode": "head", "loss": "bce"}])
def test_the_same_training_gives_the_same_bytes(tmp_path, changes):
    for name in ("first", "second"):
        run(tmp_path / name, config(**changes))
    first, second = outputs(tmp_path / "first"), outputs(tmp_path / "second")
    # The folder of the model to start from differs in its name.
    for found in (first, second):
        facts = json.loads(found.pop("models/pos_neg/config.json"))
        assert facts["source"]["weights_sha256"].startswith("untrained-")
    assert len(first) == 6
    assert first == second


def test_loss_may_choose_the_best_epoch(tmp_path):
    trained = run(tmp_path, config(select="loss", epochs=4))
    losses = history(tmp_path)["val_loss"]
    assert trained.record.best_epoch == losses.idxmin() + 1


def test_without_val_the_last_epoch_is_the_best(tmp_path):
    trained = run(tmp_path, config(select="last", patience=1), wanted(val=0))
    assert trained.record.best_epoch == trained.record.epoch == 3
    assert history(tmp_path)["val_loss"].isna().all()
    best, final = (tmp_path / "models" / "pos_neg" / name for name in ("best", "final"))
    weights = "open_clip_model.safetensors"
    assert (best / weights).read_bytes() == (final / weights).read_bytes()


def test_a_training_that_harms_says_so(tmp_path, caplog):
    plan = training._plan(config(select="loss"), section(tmp_path), ALONE)
    record = Record([{"epoch": 1, "val_loss": 0.5}], best_epoch=1, best_value=0.5)
    warn_of_harm({"val_loss": 0.5}, record, plan)
    assert caplog.text == ""
    warn_of_harm({"val_loss": 0.4}, record, plan)
    assert "the val_loss of the model it started from: 0.4000 before, 0.5000 in epoch 1" in (
        caplog.text
    )


def test_val_items_that_cannot_be_ranked(tmp_path, caplog):
    items = [replace(i, negative=()) if i.id.startswith("val") else i for i in wanted()]
    with pytest.raises(ConfigError, match=r"select: val_average_precision is undefined"):
        run(tmp_path, config(), items)
    assert "4 of 4 val items have no mined negative" in caplog.text
    assert run(tmp_path, config(select="loss"), items).record.epoch == 3


def test_what_the_user_is_told(tmp_path, caplog):
    items = [replace(i, negative=()) if i.id == "train_03" else i for i in wanted()]
    with caplog.at_level(logging.WARNING):
        run(tmp_path, config(epochs=1), items)
    assert "1 of 10 training items have no mined negative" in caplog.text
    assert "untrained weights" in caplog.text


def test_captions_that_are_cut_are_told(tmp_path, caplog):
    items = [replace(i, question="red " * (90 if i.id == "train_03" else 74)) for i in wanted()]
    run(tmp_path, config(epochs=1), items)
    assert "1 of 2 captions fill all 77 tokens" in caplog.text


@pytest.mark.parametrize("mode", ["full", "lora", "head"])
def test_other_precisions(tmp_path, mode):
    trained = run(tmp_path, config(mode=mode, precision="bf16", loss="bce"))
    losses = history(tmp_path)["train_loss"]
    assert losses.iloc[-1] < losses.iloc[0]
    facts = json.loads((tmp_path / "models/pos_neg/config.json").read_text())
    assert facts["precision"] == "bf16"
    assert trained.record.epoch == 3


def test_precision_and_checkpointing_reach_the_network(tmp_path):
    variants = {"fp32": {}, "bf16": {"precision": "bf16"}, "again": {"grad_checkpointing": True}}
    rows = {
        name: run(tmp_path / name, config(epochs=1, loss="bce", **changes)).record.best
        for name, changes in variants.items()
    }
    plain, half = rows["fp32"], rows["bf16"]
    assert rows["again"] == pytest.approx(plain, rel=1e-4)
    assert half["train_loss"] != plain["train_loss"]
    assert half["train_loss"] == pytest.approx(plain["train_loss"], rel=0.1)


def test_tensorboard_shows_the_history(tmp_path):
    run(tmp_path, config(epochs=2, loss="bce"))
    (folder,) = (tmp_path / "tensorboard").iterdir()
    events = EventAccumulator(str(folder))
    events.Reload()
    table = history(tmp_path)
    for column in table.columns.drop("epoch"):
        shown = [(event.step, event.value) for event in events.Scalars(scalar_tag(column))]
        assert shown == [(1, pytest.approx(table[column][0])), (2, pytest.approx(table[column][1]))]
    assert events.Scalars("best/val_average_precision")


def test_one_caption_is_not_enough_for_the_contrastive_loss(tmp_path):
    items = [replace(item, question="Where?") for item in wanted()]
    with pytest.raises(ConfigError, match="'contrastive' compares captions"):
        run(tmp_path, config(loss="contrastive"), items)
    run(tmp_path, config(loss="video_nce", epochs=1), items)


def test_nothing_is_read_for_an_unknown_loss(tmp_path):
    with pytest.raises(ConfigError, match="no such loss"):
        train_pos_neg(config(loss="bze"), section(tmp_path), places(tmp_path))


def test_mining_comes_first(tmp_path):
    with pytest.raises(DataError, match=r"items\.parquet(.|\n)*dvc repro"):
        train_pos_neg(config(), section(tmp_path), places(tmp_path))


def test_the_whole_stage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_mined(Path("data/mined"), wanted())
    params = Params(
        data=DataConfig(root="data"),
        extract=ExtractConfig(clip=section(Path("weights"))),
        train=TrainSection(pos_neg=config()),
        runtime=RuntimeConfig(device="cpu"),
    )
    line = TRAINERS.get("pos_neg")(params, scratch=Path("data/.scratch"), progress=SILENT)
    assert line.startswith("wrote data/models/pos_neg: best epoch")
    assert "(before 0." in line
    assert Path("data/models/pos_neg/best/open_clip_config.json").is_file()
    assert Path("metrics/plots/pos_neg/history.csv").is_file()


def test_a_backbone_that_is_no_clip(tmp_path):
    params = Params(
        data=DataConfig(root="data"),
        extract=ExtractConfig(clip=ClipConfig(model="ViT-B-32", weights="untrained")),
        train=TrainSection(pos_neg=config(backbone="dinov2")),
    )
    with pytest.raises(ConfigError, match=r"backbone = 'dinov2' is no CLIP(.|\n)*clip"):
        training.train(params, scratch=tmp_path, progress=SILENT)


def test_a_run_that_diverges_names_its_own_parameter(tmp_path):
    with pytest.raises(ConfigError, match=r"diverged(.|\n)*Lower train\.pos_neg\.lr"):
        run(tmp_path, config(lr=1e30, clip_grad_norm=None, warmup_ratio=0.0))


def start(root):
    return subprocess.Popen([sys.executable, "-c", PROGRAM, str(root)], cwd=ROOT)


@pytest.mark.slow
def test_a_run_killed_twice_ends_with_the_same_bytes(tmp_path):
    # One folder for both: the published description names the model that training started from.
    write_mined(tmp_path / "mined", wanted())
    assert start(tmp_path).wait() == 0
    straight = outputs(tmp_path)
    (tmp_path / "models").rename(tmp_path / "before")
    kill_after(start(tmp_path), tmp_path, folders=1, epochs=3)
    kill_after(start(tmp_path), tmp_path, folders=1, epochs=9)
    assert not (tmp_path / "models").exists()
    assert start(tmp_path).wait() == 0
    assert len(straight) == 2 * 4 + 3
    assert outputs(tmp_path) == straight
    assert not any((tmp_path / "scratch").iterdir())

import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest
import torch

from pipeline_lib.backbones.videomamba_checkpoint import read_videomamba
from pipeline_lib.backbones.videomamba_start import start_from
from pipeline_lib.config import DataConfig, ExtractConfig, Params, RuntimeConfig, TrainSection
from pipeline_lib.errors import BatchError, ConfigError
from pipeline_lib.networks.videomamba import VideoMamba
from pipeline_lib.trainers.videomamba_pretrain import training
from pipeline_lib.trainers.videomamba_pretrain.training import pretrain, train
from tests.trainers.videomamba_pretrain.project import config, outputs, places

COLUMNS = ["epoch", "train_loss", "lr", "grad_norm", "val_loss", "val_shuffled_loss"]


def test_what_a_pretraining_leaves_behind(root, teacher):
    trained = pretrain(config(epochs=4, save_every=2, select="loss"), teacher, places(root))
    written = set(outputs(root))
    folders = {"best", "final", "ep2", "ep4"}
    files = {
        f"{folder}/{name}" for folder in folders for name in ("config.json", "model.safetensors")
    }
    assert written == {f"models/pretrain/{name}" for name in {*files, "config.json"}} | {
        "plots/history.csv"
    }
    history = pd.read_csv(root / "plots" / "history.csv")
    assert list(history.columns) == COLUMNS
    assert history["epoch"].tolist() == [1, 2, 3, 4]
    assert history.notna().all().all()
    told = json.loads((root / "models" / "pretrain" / "config.json").read_text())
    assert set(told["checkpoints"]) == folders
    best = history["val_loss"].idxmin()
    assert trained.record.best_epoch == told["checkpoints"]["best"]["epoch"] == best + 1
    assert told["checkpoints"]["best"]["val"]["loss"] == pytest.approx(history["val_loss"][best])
    assert told["val_before"]["val_loss"] > 0
    assert (told["steps"], told["scan"], told["precision"]) in {
        (8, name, "fp32") for name in ("torch", "compiled")
    }
    assert told["dataset"]["sampling"] == "segments"
    assert told["teacher"]["dim"] == 32
    assert told["teacher"]["source"]["trained"] is False
    assert list((root / "scratch").iterdir()) == []


def test_a_fine_tuning_starts_from_it(root, teacher):
    trained = pretrain(config(aligned_layers=2), teacher, places(root))
    checkpoint = read_videomamba(root / "models" / "pretrain" / "best")
    assert (checkpoint.kind, checkpoint.classes) == ("pretrain", None)
    assert trained.record.best_epoch == 2
    network = VideoMamba(checkpoint.shape, 7)
    start = start_from(network, checkpoint)
    heads = {f"clip_decoder.{k}.{m}.{p}" for k in "01" for m in ("head", "norm")
             for p in ("weight", "bias")}  # fmt: skip
    assert set(start.left) == heads | {"norm.weight"}
    assert set(start.fresh) == {"norm_f.weight", "head.weight", "head.bias"}
    for name in start.taken:
        assert torch.equal(network.state_dict()[name], checkpoint.tensors[name]), name


def test_the_same_again_gives_the_same_bytes(root, teacher, tmp_path):
    settings = config(drop_path=0.4, batch_size=2)
    pretrain(settings, teacher, places(root))
    first = outputs(root)
    shutil.rmtree(root / "models")
    pretrain(settings, teacher, places(root), runtime=RuntimeConfig(decode_workers=3))
    assert outputs(root) == first


def test_a_run_that_was_stopped_goes_on(root, teacher, monkeypatch):
    settings = config(epochs=4, drop_path=0.4, batch_size=2)
    pretrain(settings, teacher, places(root))
    straight = outputs(root)
    shutil.rmtree(root / "models")
    epoch = training.PretrainTask.train_epoch

    def killed(self, number):
        if number == 3:
            raise KeyboardInterrupt
        return epoch(self, number)

    with monkeypatch.context() as patched:
        patched.setattr(training.PretrainTask, "train_epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            pretrain(settings, teacher, places(root))
    trained = []

    def counted(self, number):
        trained.append(number)
        return epoch(self, number)

    monkeypatch.setattr(training.PretrainTask, "train_epoch", counted)
    pretrain(settings, teacher, places(root))
    assert trained == [3, 4]
    assert outputs(root) == straight


def test_an_untrained_teacher_is_told(root, teacher, caplog):
    pretrain(config(epochs=1), teacher, places(root))
    assert "learns from the untrained weights of local-dir:" in caplog.text


def test_a_rate_that_would_rise_is_refused(root, teacher):
    with pytest.raises(ConfigError, match=r"pretrain.min_lr = 0.1 is larger than (.|\n)*lr = 0.05"):
        pretrain(config(min_lr=0.1), teacher, places(root))


def test_nothing_chooses_without_validation(root, teacher):
    shutil.rmtree(root / "data" / "videos" / "val")
    with pytest.raises(ConfigError, match=r"pretrain.select: val_loss is undefined"):
        pretrain(config(select="loss"), teacher, places(root))
    trained = pretrain(config(), teacher, places(root))
    assert trained.record.best["val_loss"] is None


def test_a_loss_that_is_no_number_is_told(root, teacher):
    with pytest.raises(ConfigError, match=r"diverged"):
        pretrain(config(lr=1e30, epochs=4), teacher, places(root))


def test_the_stage_tells_of_videos_that_are_left_out(root, teacher, monkeypatch):
    monkeypatch.chdir(root)
    (root / "data" / "videos" / "train" / "left" / "0.mp4").write_bytes(b"no video")
    settings = config(dataset={"on_missing": "stop"}, teacher="clip")
    params = Params(
        data=DataConfig(root="data"),
        extract=ExtractConfig(clip=teacher),
        train=TrainSection(videomamba=settings),
    )
    with pytest.raises(BatchError, match="1 of 8 videos could not be used"):
        train(params, scratch=root / "scratch", progress=training.SILENT)
    out = root / "data" / "models" / "videomamba_pretrain"
    assert pd.read_csv(out / "failures.csv")["split"].tolist() == ["train"]
    listed = replace(settings, dataset=replace(settings.dataset, on_missing="list"))
    params = replace(params, train=TrainSection(videomamba=listed))
    line = train(params, scratch=root / "scratch", progress=training.SILENT)
    assert "epoch 2 of 2, val loss" in line
    assert "1 videos left out, see data/models/videomamba_pretrain/failures.csv" in line

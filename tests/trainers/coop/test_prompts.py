from pathlib import Path

import pytest
import torch

from pipeline_lib.backbones import BACKBONES
from pipeline_lib.config import DataConfig, ExtractConfig, Params, RuntimeConfig, TrainSection
from pipeline_lib.errors import ConfigError, WeightsError
from pipeline_lib.runtime.progress import SILENT
from pipeline_lib.trainers import TRAINERS
from pipeline_lib.trainers.checkpoints import write_checkpoint
from pipeline_lib.trainers.coop.prompts import load_prompts, load_text_tower
from tests.support.tiny_clip import untrained_clip
from tests.trainers.project import config, tower, videos, write_store

CPU = torch.device("cpu")


def test_the_text_tower_of_a_backbone(tmp_path):
    made = load_text_tower(ExtractConfig(clip=untrained_clip(tmp_path)), "clip", CPU)
    assert (made.width, made.dim, made.context_length, made.causal) == (32, 16, 77, True)
    assert made.weights_sha256.startswith("untrained-")


def test_a_backbone_without_section(tmp_path):
    with pytest.raises(ConfigError, match=r"has no section extract\.clip_untrained"):
        load_text_tower(ExtractConfig(), "clip_untrained", CPU)
    with pytest.raises(ConfigError, match="Unknown backbone 'clap'"):
        load_text_tower(ExtractConfig(), "clap", CPU)


def test_a_backbone_without_text_tower(monkeypatch, tmp_path):
    monkeypatch.setattr(BACKBONES, "get", lambda name: lambda *args, **kwargs: object())
    with pytest.raises(ConfigError, match="'clip' has no text tower"):
        load_text_tower(ExtractConfig(clip=untrained_clip(tmp_path)), "clip", CPU)


def test_a_checkpoint_of_another_trainer(tmp_path):
    path = tmp_path / "x.safetensors"
    write_checkpoint(path, {"weight": torch.ones(2)}, {"trainer": "videomamba"})
    with pytest.raises(WeightsError, match="not a CoOp checkpoint; it holds weight"):
        load_prompts(path, tower())


def test_the_whole_stage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clip = untrained_clip(Path("weights"))
    extract = ExtractConfig(clip=clip)
    made = load_text_tower(extract, "clip", CPU)
    write_store(
        Path("data"),
        videos(),
        weights_sha256=made.weights_sha256,
        trained=False,
        dim=16,
    )
    params = Params(
        data=DataConfig(root="data"),
        extract=extract,
        train=TrainSection(**vars(config(allow_untrained=True))),
        runtime=RuntimeConfig(device="cpu"),
    )
    line = TRAINERS.get("coop")(params, scratch=Path("data/.scratch"), progress=SILENT)
    assert "wrote data/models/coop: best epoch" in line
    loaded = load_prompts(Path("data/models/coop/coop_best.safetensors"), made)
    assert loaded.text_features.norm(dim=-1).tolist() == pytest.approx([1, 1, 1])
    assert Path("metrics/plots/coop/history.csv").is_file()

"""How the demo's vision transformer is trained."""

from pathlib import Path

import torch

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.clip import load_clip
from pipeline_lib.config import ClipConfig, DemoVitConfig
from pipeline_lib.demo.vit_training import train_demo_vit

DEMO_CLIP = Path(__file__).parents[2] / "data" / "weights" / "demo_clip"
SHORT = DemoVitConfig(steps=2, backgrounds=2, warmup_steps=1)


def loaded(folder):
    return load_clip(ClipConfig(model=f"local-dir:{folder}"), Placement()).model


def test_the_same_seed_gives_the_same_files(tmp_path):
    for name in ("a", "b"):
        train_demo_vit(tmp_path / name, DEMO_CLIP, SHORT)
    for file in ("open_clip_config.json", "open_clip_model.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_the_text_tower_stays_the_demo_clips(tmp_path):
    train_demo_vit(tmp_path, DEMO_CLIP, SHORT)
    ours, theirs = loaded(tmp_path).state_dict(), loaded(DEMO_CLIP).state_dict()
    text = [name for name in theirs if not name.startswith("visual.")]
    assert len(text) > 20
    assert all(torch.equal(ours[name], theirs[name]) for name in text)


def test_the_image_tower_learns(tmp_path):
    untrained = DemoVitConfig(steps=1, backgrounds=2, warmup_steps=1000)
    train_demo_vit(tmp_path / "first", DEMO_CLIP, untrained)
    train_demo_vit(tmp_path / "second", DEMO_CLIP, SHORT)
    first, second = loaded(tmp_path / "first"), loaded(tmp_path / "second")
    moved = first.visual.state_dict(), second.visual.state_dict()
    assert not torch.equal(moved[0]["conv1.weight"], moved[1]["conv1.weight"])

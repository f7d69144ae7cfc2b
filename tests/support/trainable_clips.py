"""Small CLIPs of every construction that fine-tuning knows, with something to feed them."""

import copy
import json
from pathlib import Path

import torch

from pipeline_lib.backbones.transformers_folder import import_transformers, quiet
from pipeline_lib.config import ClipConfig, PosNegConfig
from pipeline_lib.trainers.pos_neg.model import TrainableClip, load_trainable
from tests.support.tiny_clip import CONFIG, untrained_clip

CPU = torch.device("cpu")
DEMO = ClipConfig(model="local-dir:data/weights/demo_clip")
KINDS = ("vit", "resnet", "timm")
TEXTS = ["a man falls", "two people walk", "a dog"]
PREPROCESSOR = {
    "size": {"shortest_edge": 40},
    "crop_size": {"height": 32, "width": 32},
    "resample": 3,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.3, 0.4],
    "rescale_factor": 1 / 255,
}


def section(kind: str, folder: Path) -> ClipConfig:
    """A tiny CLIP with a ViT, the demo's with a ResNet, or a tiny one with an image tower of timm.

    The text tower of the last is a module of its own, as MobileCLIP has it.
    """
    if kind == "resnet":
        return DEMO
    config = untrained_clip(folder)
    if kind == "timm":
        content = copy.deepcopy(CONFIG)
        content["model_cfg"]["custom_text"] = True
        content["model_cfg"]["vision_cfg"] = {
            "timm_model_name": "test_byobnet",
            "timm_pool": "avg",
            "timm_proj": None,
            "image_size": 32,
        }
        (folder / "open_clip_config.json").write_text(json.dumps(content))
    return config


def transformers_clip(folder: Path) -> ClipConfig:
    """A tiny random CLIPModel, saved without a tokenizer."""
    transformers = import_transformers()
    shared = {"num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.CLIPConfig(
        projection_dim=16,
        text_config={"hidden_size": 32, "intermediate_size": 64, **shared},
        vision_config={
            "hidden_size": 48,
            "intermediate_size": 96,
            "image_size": 32,
            "patch_size": 8,
            **shared,
        },
    )
    with torch.random.fork_rng(), quiet(transformers):
        torch.manual_seed(0)
        transformers.CLIPModel(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    return ClipConfig(model=f"local-dir:{folder}")


def trainable(config: ClipConfig, **options: object) -> TrainableClip:
    """The CLIP of ``config``, prepared with these options of PosNegConfig."""
    return load_trainable(config, PosNegConfig(**options), CPU)


def inputs(model: TrainableClip) -> tuple[torch.Tensor, torch.Tensor]:
    """Three random pictures and three captions."""
    side = model.preprocess.resize.crop
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, 3, side, side, generator=generator), model.tokenizer(TEXTS)


def train(model: TrainableClip, steps: int = 3, lr: float = 1e-2) -> None:
    """Bring the pictures and their captions together, or try to."""
    pixels, tokens = inputs(model)
    optimizer = torch.optim.AdamW(model.param_groups(lr, 0.01))
    for _ in range(steps):
        images, texts = model(pixels, tokens)
        logits = model.logit_scale * images @ texts.T + model.logit_bias
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits, torch.arange(3)).backward()
        optimizer.step()

"""The demo CLIP's architecture, and its folder in open_clip's ``local-dir:`` format."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from pipeline_lib.runtime.seeding import torch_stream
from pipeline_lib.runtime.torchvision_ops import import_open_clip
from pipeline_lib.storage.atomic import replacing, write_json

# CLIP's own parts at their smallest: a modified ResNet (a list of layers selects it) and a causal
# text transformer over CLIP's 49,408 tokens. The token table holds six of the seven megabytes.
MODEL_CFG: dict[str, Any] = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 64, "layers": [1, 1, 2, 1], "width": 10, "head_width": 64},
    "text_cfg": {
        "context_length": 77,
        "vocab_size": 49408,
        "width": 64,
        "heads": 2,
        "layers": 2,
    },
}
# The same with a vision transformer, for networks that are built into one: twelve joined frames of
# 64 patches are a sequence as long as a frame of a large CLIP.
VIT_CFG: dict[str, Any] = {
    **MODEL_CFG,
    "vision_cfg": {
        "image_size": 64,
        "layers": 6,
        "width": 64,
        "head_width": 32,
        "patch_size": 8,
    },
}
PREPROCESS_CFG: dict[str, Any] = {
    "size": 64,
    "mode": "RGB",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
    "fill_color": 0,
}
IMAGE_SIZE = int(PREPROCESS_CFG["size"])


def new_model(seed: int, model_cfg: dict[str, Any] = MODEL_CFG) -> Any:
    """An untrained demo CLIP (``open_clip.model.CLIP``) whose weights depend on ``seed`` only."""
    import_open_clip()
    from open_clip.model import CLIP

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_stream(seed, "demo clip", "init").initial_seed())
        return CLIP(**model_cfg)


def save_model(out: Path, model: torch.nn.Module, model_cfg: dict[str, Any] = MODEL_CFG) -> None:
    """Write ``open_clip_config.json`` and fp16 ``open_clip_model.safetensors`` into ``out``."""
    tensors = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in model.state_dict().items()
    }
    config = {"model_cfg": model_cfg, "preprocess_cfg": PREPROCESS_CFG}
    write_json(out / "open_clip_config.json", config)
    with replacing(out / "open_clip_model.safetensors") as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})

"""Small TempMe-STOP networks around small random CLIPs."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline_lib.config import ClipConfig, TempMeStopModelConfig
from pipeline_lib.networks.clip_shape import clip_shape, clip_tensors
from pipeline_lib.networks.tempme_stop import TempMeStop
from pipeline_lib.runtime.torchvision_ops import import_open_clip
from tests.support.tiny_clip import CONFIG

HEADERS = ("meanP", "seqTransf", "seqLSTM", "tightTransf")


@dataclass(frozen=True)
class Shape:
    """A ViT with ``grid`` patches along a side and ``layers`` blocks."""

    grid: int = 4
    layers: int = 6
    quick_gelu: bool = False

    def model_cfg(self) -> dict[str, Any]:
        return {
            "embed_dim": 32,
            "quick_gelu": self.quick_gelu,
            "vision_cfg": {
                "image_size": 4 * self.grid,
                "layers": self.layers,
                "width": 48,
                "patch_size": 4,
                "head_width": 16,
            },
            "text_cfg": {
                "context_length": 77,
                "vocab_size": 49408,
                "width": 32,
                "heads": 2,
                "layers": 2,
            },
        }


def random_clip(shape: Shape) -> Any:
    """An open_clip model, in eval mode, whose weights all matter: none is 0 or 1."""
    open_clip = import_open_clip()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = open_clip.model.CLIP(**shape.model_cfg()).eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name != "logit_scale":
                    parameter.add_(torch.randn_like(parameter), alpha=0.05)
    return model


def network(clip: Any, seed: int = 0, **options: Any) -> TempMeStop:
    """A network around ``clip`` with new adapters."""
    made = TempMeStop(clip_shape(clip), TempMeStopModelConfig(**options)).eval()
    made.clip.load_state_dict(clip_tensors(clip), strict=False)
    made.reset_parameters(seed)
    return made


def opened(made: TempMeStop) -> TempMeStop:
    """The same network as if trained: gates open, additions and positions not 0."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in made.learned().values():
            noise = torch.empty_like(parameter).normal_(std=0.2, generator=generator)
            parameter.add_(noise)
    return made


def videos(made: TempMeStop, count: int, seed: int = 1) -> Tensor:
    """Normalised pixels of videos whose neighbouring frames are alike."""
    side = made.clip.shape.image_size
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(count, made.frames, 3, side, side, generator=generator)
    return steps.cumsum(1) / torch.arange(1, made.frames + 1).sqrt().view(-1, 1, 1, 1)


def write_clip(folder: Path, shape: Shape, trained: bool = True) -> ClipConfig:
    """Write a random CLIP as a model folder of open_clip."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    preprocess = CONFIG["preprocess_cfg"]
    content = {"model_cfg": shape.model_cfg(), "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    if not trained:
        return ClipConfig(model=f"local-dir:{folder}", weights="untrained")
    tensors = {k: v.contiguous() for k, v in random_clip(shape).state_dict().items()}
    save_file(tensors, folder / "open_clip_model.safetensors")
    return ClipConfig(model=f"local-dir:{folder}")

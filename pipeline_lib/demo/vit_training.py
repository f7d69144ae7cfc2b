"""Training the demo's vision transformer into the space of the demo CLIP.

Its text tower is the demo CLIP's and stays as it is (https://arxiv.org/abs/2111.07991 locks a tower
in the same way); its image tower learns from captions and from the demo CLIP's own image tower.
Alone a transformer needs many more pictures to see shapes than a network of convolutions does.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.clip import load_clip
from pipeline_lib.config import ClipConfig, DemoVitConfig
from pipeline_lib.demo.clip_model import IMAGE_SIZE, VIT_CFG, new_model, save_model
from pipeline_lib.demo.clip_training import (
    contrastive_loss,
    draw_captions,
    encode_text,
    matches,
    new_optimizer,
    pixels,
    rate,
)
from pipeline_lib.demo.stills import KINDS, StillMaker
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.runtime.seeding import numpy_stream

_LONGEST_GRADIENT = 1.0


def train_demo_vit(
    out: Path, teacher: Path, config: DemoVitConfig, progress: Progress = SILENT
) -> None:
    """Train the demo's vision transformer and write it into ``out``.

    Equal configs, teachers and thread counts give equal weights on one machine.

    Args:
        out: Gets ``open_clip_config.json`` and ``open_clip_model.safetensors``.
        teacher: The folder of the demo CLIP.
        config: Length and rates of the training.
        progress: Told of every step.
    """
    kinds = [*KINDS, *[None] * config.backgrounds]
    maker = StillMaker.of(numpy_stream(config.seed, "demo vit", "stills"), IMAGE_SIZE)
    captions = draw_captions(config.seed, config.steps, kinds)
    match = matches(kinds)
    known = load_clip(ClipConfig(model=f"local-dir:{teacher}"), Placement()).model
    model = new_model(config.seed, VIT_CFG)
    _take_text_tower(model, known)
    trained = {f"visual.{name}": value for name, value in model.visual.named_parameters()}
    optimizer = new_optimizer(trained, config)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, config))
    rows = known.token_embedding.weight[captions.used]
    with progress.task("train the demo's vision transformer", config.steps) as advance:
        for step in range(config.steps):
            stills = pixels([maker.still(kind) for kind in kinds])
            with torch.no_grad():
                texts = encode_text(known, rows, captions.ids[step], captions.ends[step])
                seen = known.visual(stills)
            images = model.visual(stills)
            loss = contrastive_loss(images, texts, known.logit_scale, match)
            loss = loss + config.teacher_weight * _distance(images, seen)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(list(trained.values()), _LONGEST_GRADIENT)
            optimizer.step()
            schedule.step()
            advance(note=f"loss {loss.item():.2f}")
    save_model(out, model, VIT_CFG)


def _take_text_tower(model: torch.nn.Module, known: torch.nn.Module) -> None:
    """Give ``model`` everything of ``known`` but the image tower."""
    shared = {n: v for n, v in known.state_dict().items() if not n.startswith("visual.")}
    model.load_state_dict(shared, strict=False)


def _distance(images: Tensor, seen: Tensor) -> Tensor:
    """Mean of one minus the cosine, row by row."""
    return (1 - F.cosine_similarity(images, seen, dim=-1)).mean()

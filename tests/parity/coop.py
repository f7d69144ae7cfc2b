"""Prompt learning on the text tower of a published CLIP."""

import json
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.clip import load_clip
from pipeline_lib.config import ClipConfig
from pipeline_lib.networks.text_prompt import PromptLearner, PromptOptions, initial_context
from pipeline_lib.networks.text_towers import TextTower, text_tower
from tests.parity.golden import fill


def openai_clip(case: dict) -> dict[str, np.ndarray]:
    """Text features, logits, loss and context gradient of each prompt option of ``case``."""
    with tempfile.TemporaryDirectory() as folder:
        model = write_open_clip_folder(Path(folder), fill.state_dict(case))
        clip = load_clip(ClipConfig(model=model), Placement(batch_size=1))
    tower = text_tower(clip.model, clip.tokenizer, weights_sha256=clip.weights_sha256)
    return learned_prompts(case, tower)


def learned_prompts(case: dict, tower: TextTower) -> dict[str, np.ndarray]:
    """What a prompt learner gives on ``tower`` for each of the case's options."""
    features = F.normalize(torch.from_numpy(fill.inputs(case)["features"]), dim=-1)
    labels = torch.tensor(case["labels"])
    made: dict[str, np.ndarray] = {}
    for name, options in case["cases"].items():
        learner = _learner(case["class_names"], PromptOptions(**options), tower)
        text = learner()
        logits = tower.logit_scale * features @ F.normalize(text, dim=-1).T
        loss = F.cross_entropy(logits, labels)
        loss.backward()
        made |= {
            f"{name}.text_features": text.detach().numpy(),
            f"{name}.logits": logits.detach().numpy(),
            f"{name}.loss": loss.detach().numpy(),
            f"{name}.ctx_grad": learner.ctx.grad.numpy(),
        }
    return made


def _learner(class_names: list[str], options: PromptOptions, tower: TextTower) -> PromptLearner:
    context = initial_context(tower, len(class_names), options, torch.Generator())
    if not options.ctx_init:
        context = torch.from_numpy(0.02 * fill.values("ctx", context.shape))
    return PromptLearner(tower, class_names, context, options.class_token_position)


def write_open_clip_folder(folder: Path, state: dict[str, np.ndarray]) -> str:
    """Write an OpenAI state dict as a user's open_clip folder; returns the model's name."""
    config = {"model_cfg": openai_config(state), "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_file(state, folder / "open_clip_model.safetensors")
    return f"local-dir:{folder}"


def openai_config(state: dict[str, np.ndarray]) -> dict:
    """The configuration that the shapes of an OpenAI state dict imply; heads are 64 wide."""
    width = state["ln_final.weight"].shape[0]
    return {
        "embed_dim": state["text_projection"].shape[1],
        "quick_gelu": True,
        "vision_cfg": _vision_transformer(state) if "visual.proj" in state else _resnet(state),
        "text_cfg": {
            "context_length": state["positional_embedding"].shape[0],
            "vocab_size": state["token_embedding.weight"].shape[0],
            "width": width,
            "heads": max(1, width // 64),
            "layers": _blocks(state, "transformer.resblocks."),
        },
    }


def _vision_transformer(state: dict[str, np.ndarray]) -> dict:
    width, _, _, patch = state["visual.conv1.weight"].shape
    grid = round((state["visual.positional_embedding"].shape[0] - 1) ** 0.5)
    return {
        "image_size": grid * patch,
        "layers": _blocks(state, "visual.transformer.resblocks."),
        "width": width,
        "head_width": min(64, width),
        "patch_size": patch,
    }


def _resnet(state: dict[str, np.ndarray]) -> dict:
    grid = round((state["visual.attnpool.positional_embedding"].shape[0] - 1) ** 0.5)
    return {
        "image_size": grid * 32,
        "layers": [_blocks(state, f"visual.layer{stage}.") for stage in range(1, 5)],
        "width": state["visual.layer1.0.conv1.weight"].shape[0],
        "patch_size": None,
    }


def _blocks(state: dict[str, np.ndarray], prefix: str) -> int:
    return len({name[len(prefix) :].split(".")[0] for name in state if name.startswith(prefix)})

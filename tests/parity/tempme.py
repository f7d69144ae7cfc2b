"""TempMe as it is published, whatever its schedule, frames and CLIP."""

import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from pipeline_lib.backbones.tempme_checkpoint import load_tempme
from pipeline_lib.networks.merge_schedule import MergeSchedule, token_plan
from tests.parity.golden import fill

# Of TempMe's arguments, for manifests that leave them out.
DEFAULTS = {
    "frames": 12, "merge_layer": "8-9-10", "merge_frame_num": "2-2-3", "proportion": "30-10",
    "tome_r": 2,
}  # fmt: skip


def retrieval(case: dict) -> dict[str, np.ndarray]:
    """Video and text features and the tokens of each block, weights as a published checkpoint."""
    config, given = DEFAULTS | case.get("config", {}), fill.inputs(case)
    tensors = {name: torch.from_numpy(np.asarray(a)) for name, a in fill.state_dict(case).items()}
    frames, schedule = config["frames"], published_schedule(config, tensors)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "best.pth"
        torch.save(tensors, checkpoint)
        network = load_tempme(checkpoint, schedule, frames)
    pixels = torch.from_numpy(given["video"])
    with torch.inference_mode():
        vectors = network.encode_video(pixels.reshape(-1, frames, *pixels.shape[-3:]))
        texts = network.encode_text(torch.from_numpy(given["token_ids"]))
    plan = token_plan(schedule, frames, network.shape.tokens, network.shape.vision_layers)
    return {
        "video_features": F.normalize(vectors, dim=-1).mean(dim=1).numpy(),
        "text_features": texts.numpy(),
        "tokens_per_layer": np.asarray(plan, dtype=np.int64),
    }


def published_schedule(config: dict, tensors: dict[str, torch.Tensor]) -> MergeSchedule:
    """The schedule that TempMe's arguments say."""
    percents, layers, numbers = (
        tuple(map(int, str(config[name]).split("-")))
        for name in ("proportion", "merge_layer", "merge_frame_num")
    )
    across, within = (percent / 100 for percent in percents)
    positions = any(name.endswith("Positional_embedding") for name in tensors)
    return MergeSchedule(config["tome_r"], layers, numbers, across, within, positions)

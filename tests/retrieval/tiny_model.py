"""A real network, small enough for tests: a random vision transformer and new adapters."""

import copy
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from pipeline_lib.runtime.torchvision_ops import import_open_clip
from tests.support.tiny_clip import CONFIG

DIM = 512


def random_clip(folder: Path) -> Path:
    """A CLIP in open_clip's format whose weights count as trained."""
    content = copy.deepcopy(CONFIG)
    content["model_cfg"]["embed_dim"] = DIM
    content["model_cfg"]["vision_cfg"]["layers"] = 4
    folder.mkdir(parents=True)
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    open_clip = import_open_clip()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    tensors = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, folder / "open_clip_model.safetensors")
    return folder


def configuration(path: Path, clip: Path) -> Path:
    """A configuration of a network with 12 frames and 3 clips around ``clip``."""
    content = {
        "tempme": {
            "base_encoder": f"local-dir:{clip}",
            "merge_frame_num": "2-2",
            "merge_layer": [1, 2],
            "merge_token_proportion": "30-10",
        },
        "stop": {"pretrained_clip_name": f"local-dir:{clip}"},
        "video_size": 32,
        "max_frames": 3,
        "top_k": 2,
    }
    path.write_text(json.dumps(content))
    return path

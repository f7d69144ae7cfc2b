"""A small project: videos of three classes, a CLIP, and a network of random weights."""

import json
from pathlib import Path

import torch
from ruamel.yaml import YAML

from pipeline_lib.backbones.videomamba_folder import save_videomamba
from pipeline_lib.networks.videomamba import VideoMamba, VideoMambaShape
from tests.support.tiny_clip import untrained_clip
from tests.support.video_files import constant_rate

MODELS = Path("data/models/videomamba")
CLASSES = ("down", "left", "up")
SHAPE = VideoMambaShape(
    embed_dim=16, depth=2, patch_size=8, tubelet=1, frames=4, image_size=16
)  # fmt: skip
SPLITS = {"train": 2, "val": 1, "test": 2}
VIEWS = {"segments": 2, "crops": 3, "examples": 2}


def write_params(evaluate=None, data=None, **train):
    params = {
        "data": {"root": "data/own"} | (data or {}),
        "extract": {
            "precision": "fp32",
            "batch_size": 8,
            "clip": {"model": "local-dir:data/clip", "weights": "untrained"},
        },
        "evaluate": {"videomamba": VIEWS | (evaluate or {})},
        "train": {"videomamba": train},
    }
    with Path("params.yaml").open("w") as file:
        YAML(typ="safe", pure=True).dump(json.loads(json.dumps(params)), file)


def write_network(folder, classes=CLASSES, *, seed=1, outputs=None, shape=SHAPE, **facts):
    """Random weights, and positions that tell frames apart."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = VideoMamba(shape, outputs or len(classes))
        torch.nn.init.normal_(network.temporal_pos_embedding)
        torch.nn.init.normal_(network.head.weight)
    save_videomamba(folder, network, {"classes": classes, "task": "classification"} | facts)


def write_videos():
    for split, count in SPLITS.items():
        for number, name in enumerate(CLASSES):
            for copy in range(count):
                # The same stems in every class.
                path = Path(f"data/own/videos/{split}/{name}/{copy}.mp4")
                constant_rate(path, 9 + 4 * number + copy, 10, size=(64, 32 + 16 * number))


def write_project():
    write_videos()
    untrained_clip(Path("data/clip"))
    write_network(MODELS / "best")
    write_network(MODELS / "scratch" / "best", seed=2)
    write_params()


def write_lists(values):
    """The same videos with values, split to one for each of its videos in order."""
    for split, of_split in values.items():
        paths = sorted(Path(f"data/own/videos/{split}").rglob("*.mp4"))
        lines = [
            f"{path.relative_to('data/own/videos').as_posix()},{value}"
            for path, value in zip(paths, of_split, strict=True)
        ]
        Path(f"data/own/{split}.csv").write_text("\n".join(lines) + "\n")

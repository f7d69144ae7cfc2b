"""A few short videos, and a student and a teacher small enough to train in a second."""

from pathlib import Path

import av
import numpy as np

from pipeline_lib.config import (
    VideoListConfig,
    VideoMambaConfig,
    VideoMambaModelConfig,
    VideoMambaPretrainConfig,
)
from pipeline_lib.trainers.places import VideoPlaces

COLOURS = ((230, 20, 20), (20, 210, 30), (30, 40, 240), (250, 250, 250), (240, 230, 20))
FRAMES = 8


def write_videos(root: Path, train: int = 5, val: int = 3) -> Path:
    """Squares that move over noise, in ``data/videos/{train,val}/{left,right}/``."""
    for split, count in (("train", train), ("val", val)):
        for number in range(count):
            name = ("left", "right")[number % 2]
            path = root / "data" / "videos" / split / name / f"{number}.mp4"
            _draw(path, COLOURS[number], 100 * val + number, backwards=name == "left")
    return root


def _draw(path: Path, colour: tuple[int, int, int], seed: int, *, backwards: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = 40, 32, "yuv420p"
        for moment in range(FRAMES):
            pixels = rng.integers(0, 160, (32, 40, 3), dtype=np.uint8)
            left = 3 * (FRAMES - 1 - moment if backwards else moment)
            pixels[8:22, left : left + 14] = colour
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


def config(
    *, dataset: dict | None = None, model: dict | None = None, **changes
) -> VideoMambaConfig:
    """Settings that train in a second: two blocks, four frames of 4 x 4 patches."""
    sizes = {"embed_dim": 16, "depth": 2, "patch_size": 8, "frames": 4, "image_size": 32}
    pretraining = {
        "epochs": 2, "warmup_epochs": 0, "batch_size": 4, "lr": 0.05, "min_lr": 1e-4,
        "drop_path": 0.0, "precision": "fp32", **changes,
    }  # fmt: skip
    return VideoMambaConfig(
        model=VideoMambaModelConfig(**(sizes | (model or {}))),
        dataset=VideoListConfig(**(dataset or {})),
        pretrain=VideoMambaPretrainConfig(**pretraining),
    )


def places(root: Path) -> VideoPlaces:
    return VideoPlaces(
        data_root=root / "data",
        out=root / "models" / "pretrain",
        history=root / "plots" / "history.csv",
        tensorboard=root / "tensorboard",
        scratch=root / "scratch",
        frames=root / "frames",
    )


def outputs(root: Path) -> dict[str, bytes]:
    """Every published file with its bytes."""
    produced = [*sorted((root / "models").rglob("*")), root / "plots" / "history.csv"]
    return {str(path.relative_to(root)): path.read_bytes() for path in produced if path.is_file()}

"""Clips of moving squares, and a VideoMamba small enough to learn them in seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.config import AugmentConfig, VideoMambaConfig, VideoMambaModelConfig
from pipeline_lib.datasets.video_clips.items import ClipItem, ClipList
from pipeline_lib.networks.videomamba import resolve_shape
from pipeline_lib.trainers.videomamba.presets import Settings, resolve
from pipeline_lib.trainers.videomamba.splits import Clips, Splits
from pipeline_lib.trainers.videomamba.training import Places

CLASSES = ("down", "up")
SIDE, FRAMES = 32, 8
# Nothing that a short test has to learn in spite of.
PLAIN = AugmentConfig(
    rand_augment="none", scale=(0.9, 1.0), ratio=(1.0, 1.0), flip=0.0, erase=0.0, mixup=0.0,
    cutmix=0.0, smoothing=0.0, repeats=1,
)  # fmt: skip


def moving_square(number: int, up: bool) -> NDArray[np.uint8]:
    """Frames uint8 [8, 32, 32, 3] of a white square on noise."""
    rng = np.random.default_rng(number)
    frames = rng.integers(0, 60, (FRAMES, SIDE, SIDE, 3), dtype=np.uint8)
    left = int(rng.integers(2, 20))
    for moment, frame in enumerate(frames):
        top = 3 * (FRAMES - 1 - moment if up else moment)
        frame[top : top + 9, left : left + 9] = 255
    return frames


@dataclass
class MemoryStore:
    """Clips in memory, in place of those of a folder."""

    items: Sequence[ClipItem]
    videos: Sequence[NDArray[np.uint8]]
    frames: int
    failures: tuple[()] = ()
    sha256: str = "in memory"

    def read(self, item: int, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self.videos[item][indices]

    def train_indices(self, item: int, rng: np.random.Generator) -> NDArray[np.int64]:
        return np.sort(rng.choice(FRAMES, self.frames, replace=False))

    def test_indices(self, item: int, segment: int = 0, segments: int = 1) -> NDArray[np.int64]:
        return np.arange(self.frames) * FRAMES // self.frames


def clips(name: str, count: int, frames: int = 4, *, values: bool = False, windows: int = 1):
    """``count`` clips of both classes in turn, or of values 1 and -1."""
    items = []
    for number in range(count):
        video = f"{name}/{number // windows}.mp4"
        label = number // windows % 2
        items.append(
            ClipItem(
                id=f"{video}#{number}", video=video, path=Path(video),
                label=2.0 * label - 1 if values else label,
            )
        )  # fmt: skip
    offset = {"train": 0, "val": 1000}[name]
    videos = [moving_square(offset + n, up=bool(n // windows % 2)) for n in range(count)]
    listed = ClipList(tuple(items), None if values else CLASSES)
    return Clips(name, listed, MemoryStore(items, videos, frames))


def splits(train: int = 12, val: int = 8, **options) -> Splits:
    return Splits(clips("train", train, **options), clips("val", val, **options))


def config(model: dict | None = None, **changes) -> VideoMambaConfig:
    """Settings that train in seconds: two blocks, four frames of four patches."""
    shape = {"embed_dim": 16, "depth": 2, "frames": 4, "image_size": SIDE, **(model or {})}
    return VideoMambaConfig(
        **{
            "model": VideoMambaModelConfig(**shape), "augment": PLAIN, "epochs": 3,
            "warmup_epochs": 1, "batch_size": 4, "drop_path": 0.1, "precision": "fp32",
            # For a batch of 256, so that the rate of a step is 0.01.
            "lr": 0.64, "min_lr": 0.0064, "layer_decay": 1.0, **changes,
        }
    )  # fmt: skip


def settings(chosen: VideoMambaConfig) -> Settings:
    return resolve(chosen, resolve_shape(chosen.model))


def places(root: Path) -> Places:
    return Places(
        data_root=root / "data",
        pretrained=root / "models" / "videomamba_pretrain" / "best",
        out=root / "models" / "videomamba",
        history=root / "plots" / "history.csv",
        tensorboard=root / "tensorboard",
        scratch=root / "scratch",
        frames=root / "frames",
    )


def outputs(root: Path) -> dict[str, bytes]:
    """Every published file with its bytes."""
    out = root / "models" / "videomamba"
    produced = [*sorted(out.rglob("*")), root / "plots" / "history.csv"]
    return {str(path.relative_to(root)): path.read_bytes() for path in produced if path.is_file()}

"""Prompt learning on 50,000 windows of 14 classes, against the usual loop in the same run.

The features are made around the text features of a hidden context, so there is something to learn
and an accuracy to reach. Epochs are timed with the text tower of ViT-B/32 (random weights cost what
trained ones do); trainings are run to their end with the demo's text tower, where the usual loop
takes minutes and not days.
"""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.common import options, report
from benchmarks.usual_coop import CLASSES, UsualLoop, UsualPrompts, WindowFiles
from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.clip import load_clip
from pipeline_lib.config import ClipConfig, TrainConfig
from pipeline_lib.datasets.window_store import WindowFeatures
from pipeline_lib.networks.text_prompt import PromptLearner
from pipeline_lib.networks.text_towers import TextTower, text_tower
from pipeline_lib.runtime.seeding import torch_stream
from pipeline_lib.runtime.torchvision_ops import import_open_clip
from pipeline_lib.trainers.coop.data import CoopData, coop_data
from pipeline_lib.trainers.coop.measuring import linear_logits, measure
from pipeline_lib.trainers.coop.presets import recipe
from pipeline_lib.trainers.coop.runs import train_prompts
from pipeline_lib.trainers.coop.samples import samples
from pipeline_lib.trainers.coop.task import CoopTask

_ROWS = 50  # windows a video
_VIDEOS = {"train": 1000, "val": 100, "test": 200}
_EPOCHS = 10  # of the whole trainings
_TIMED_STEPS = 12
_SEED = 1


@dataclass(frozen=True)
class Setting:
    """One text tower with features to learn from.

    Attributes:
        model: The whole model, for the usual loop.
        tokenizer: Its tokenizer.
        splits: Features [videos, rows, D] and labels [videos] of each split.
        files: The training items of the usual loop: file, row, label.
    """

    model: Any
    tokenizer: Any
    splits: dict[str, tuple[np.ndarray, np.ndarray]]
    files: list[tuple[Path, int, int]]

    def tower(self, precision: torch.dtype = torch.float32) -> TextTower:
        """The text tower as Clipline uses it."""
        return text_tower(self.model, self.tokenizer, weights_sha256="", precision=precision)

    def data(self, config: TrainConfig, tower: TextTower) -> CoopData:
        """Training and validation windows."""
        source = {"directory": "made", "trained": True}
        return coop_data(
            config, tower, self.windows("train"), self.windows("val"),
            class_names=CLASSES, normal_class="normal", source=source,
        )  # fmt: skip

    def windows(self, split: str) -> WindowFeatures:
        """One split, pooled and normalised."""
        features, labels = self.splits[split]
        flat = features.reshape(-1, features.shape[-1])
        names = tuple(f"{split}/{CLASSES[c]}/v{i}" for i, c in enumerate(labels))
        of_video = np.repeat(np.arange(len(labels)), _ROWS)
        unit = flat / np.linalg.norm(flat, axis=1, keepdims=True)
        return WindowFeatures(unit, labels[of_video], of_video, names, None)  # type: ignore[arg-type]


def make_setting(model: Any, tokenizer: Any, folder: Path, noise: float) -> Setting:
    """Features around the texts of a hidden context, and the training ones as files."""
    tower = text_tower(model, tokenizer, weights_sha256="")
    hidden = 0.3 * torch.randn(16, tower.width, generator=torch_stream(_SEED, "hidden"))
    with torch.no_grad():
        centres = F.normalize(PromptLearner(tower, CLASSES, hidden)(), dim=-1)
        spread = F.normalize(centres - centres.mean(dim=0), dim=-1).cpu().numpy()
    rng = np.random.default_rng(_SEED)
    splits = {}
    for split, videos in _VIDEOS.items():
        labels = np.arange(videos) % len(CLASSES)
        around = rng.normal(size=(videos, _ROWS, tower.dim)) * noise / tower.dim**0.5
        splits[split] = ((spread[labels][:, None] + around).astype(np.float32), labels)
    folder.mkdir(parents=True)
    files = []
    for video, (rows, label) in enumerate(zip(*splits["train"], strict=True)):
        path = folder / f"{video}.npy"
        np.save(path, rows)
        files += [(path, row, int(label)) for row in range(_ROWS)]
    return Setting(model, tokenizer, splits, files)


def usual_loop(setting: Setting, context: torch.Tensor) -> tuple[UsualLoop, UsualPrompts]:
    """The usual loop at its start."""
    prompts = UsualPrompts(setting.model, setting.tokenizer, CLASSES, context)
    scale = setting.tower().logit_scale
    return UsualLoop(prompts, WindowFiles(setting.files), scale, lr=0.002, seed=_SEED), prompts


def start_context(setting: Setting) -> torch.Tensor:
    """The context both begin with."""
    width = setting.tower().width
    return 0.02 * torch.randn(16, width, generator=torch_stream(_SEED, "coop", "context"))


def epoch_times(setting: Setting) -> dict[str, float]:
    """Seconds an epoch; of the usual loop a part is timed, of ours a whole one."""
    loop, _ = usual_loop(setting, start_context(setting))
    steps: Iterator[float] = loop.steps(2, 50)
    next(steps)  # the first one builds what later ones find
    seconds = [next(steps) for _ in range(_TIMED_STEPS)]
    found = {"usual loop": float(np.median(seconds)) * loop.steps_an_epoch}
    cases = {
        "original": (TrainConfig(preset="original"), torch.float32),
        "original, bf16": (TrainConfig(preset="original", precision="bf16"), torch.bfloat16),
        "fast": (TrainConfig(preset="fast"), torch.bfloat16),
    }
    for name, (config, precision) in cases.items():
        tower = setting.tower(precision)
        data = setting.data(config, tower)
        task = CoopTask(config, recipe(config, len(data.train)), tower, data, _SEED)
        start = time.perf_counter()
        task.train_epoch(2)
        found[name] = time.perf_counter() - start
    return found


def trainings(setting: Setting) -> dict[str, dict[str, float]]:
    """Whole trainings: seconds, and balanced accuracy on test with the last prompts."""
    test, names = setting.windows("test"), CLASSES
    tower = setting.tower()
    held_out = setting.data(TrainConfig(), tower)

    def result(text: torch.Tensor, seconds: float, epochs: int) -> dict[str, float]:
        rows = samples(test, names, tower.device)
        row = measure(rows, linear_logits(text, tower.logit_scale), names)
        return {
            "seconds": round(seconds, 1),
            "epochs": epochs,
            "balanced_accuracy": round(float(row["val_balanced_accuracy"] or 0), 4),
        }

    loop, prompts = usual_loop(setting, start_context(setting))
    start = time.perf_counter()
    for epoch in range(1, _EPOCHS + 1):
        for _ in loop.steps(epoch, _EPOCHS):
            pass
    found = {"usual loop": result(prompts().detach(), time.perf_counter() - start, _EPOCHS)}
    for name, config in {
        "original": TrainConfig(preset="original", epochs=_EPOCHS),
        "fast": TrainConfig(preset="fast", precision="fp32", patience=0),
    }.items():
        start = time.perf_counter()
        task = train_prompts(config, tower, held_out, _SEED, keep="final")
        epochs = recipe(config, len(held_out.train)).epochs
        found[name] = result(task.text_features(), time.perf_counter() - start, epochs)
    return found


def main() -> None:
    """Measure and report."""
    given = options(__doc__ or "").parse_args()
    library = import_open_clip()
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng():
        torch.manual_seed(0)
        big = library.create_model("ViT-B-32", pretrained=None).eval().requires_grad_(False)
        tokenizer = library.get_tokenizer("ViT-B-32")
        large = make_setting(big, tokenizer, Path(folder) / "large", noise=1.0)
        epochs = epoch_times(large)
        demo = load_clip(ClipConfig(model="local-dir:data/weights/demo_clip"), Placement())
        small = make_setting(demo.model, demo.tokenizer, Path(folder) / "small", noise=2.0)
        runs = trainings(small)
    usual = epochs["usual loop"]
    figures = {
        "windows": _VIDEOS["train"] * _ROWS,
        "classes": len(CLASSES),
        "epoch_s": {name: round(seconds, 2) for name, seconds in epochs.items()},
        "usual_over": {
            name: round(usual / seconds, 1) for name, seconds in epochs.items() if seconds != usual
        },
        "trainings": runs,
    }
    report("coop_training", figures, save=given.save)


if __name__ == "__main__":
    main()

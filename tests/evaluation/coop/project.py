"""A trained project, shared by the tests of its evaluation."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline_lib.config import EvaluateConfig, TrainConfig
from pipeline_lib.datasets.window_packing import pack_windows
from pipeline_lib.evaluation import Request
from pipeline_lib.evaluation.coop.evaluate import CoopEvaluation, evaluate_prompts
from pipeline_lib.networks.text_towers import prompt_text_features
from pipeline_lib.runtime.seeding import numpy_stream
from pipeline_lib.trainers.coop.training import Places, train_coop
from tests.evaluation.coop.tables import (
    Events,
    events_table,
    save_features,
    window_row,
    windows_table,
)
from tests.evaluation.coop.word_tower import WordTower

CLASSES = ("fire", "normal", "road_fall")
SHA = {"clip": "a" * 64, "clip_untrained": "untrained-b"}
WORDS = ("a", "photo", "of", "fire", "normal", "road", "fall")
TOWER = WordTower(WORDS, SHA["clip"])
VIDEOS = [
    f"{split}/{name}/v{i}"
    for split, count in (("train", 4), ("val", 2), ("test", 3))
    for name in CLASSES
    for i in range(count)
]
SECONDS = 6
EVENTS: Events = {video: ((4.0, 6.0),) for video in VIDEOS if "normal" not in video}
CONFIG = TrainConfig(
    control_backbone="clip_untrained",
    n_ctx=2,
    epochs=3,
    lr=0.05,
    save_every=0,
    seeds=(1, 2, 3),
)


def in_event(video: str, second: int) -> bool:
    return "normal" not in video and second >= 4


def make_windows() -> pd.DataFrame:
    """Events fill the last two of six seconds; what precedes them is normal."""
    rows = []
    for video in VIDEOS:
        for second in range(SECONDS):
            label = None if in_event(video, second) else "normal"
            rows.append(window_row(video, second, label=label, overlaps=in_event(video, second)))
    return windows_table(*rows)


def make_features(directory: Path, *, trained: bool) -> None:
    """Each second shows its class near the zero-shot prompt, or noise where untrained."""
    names = [name.replace("_", " ") for name in CLASSES]
    text = prompt_text_features(TOWER, [f"a photo of a {name}." for name in names]).numpy()
    features = {}
    for video in VIDEOS:
        shown = [
            CLASSES.index(video.split("/")[1] if in_event(video, second) else "normal")
            for second in range(SECONDS)
        ]
        noise = numpy_stream("features", video).normal(0, 0.08, (SECONDS, TOWER.dim))
        features[video] = noise + (text[shown] if trained else 0)
    save_features(directory, features, weights_sha256=SHA[directory.name], trained=trained)


def pack(
    root: Path, out: Path, table: pd.DataFrame, *backbones: str, config: TrainConfig = CONFIG
) -> Path:
    """Pack ``table`` over the project's features; returns the store of ``clip``."""
    for backbone in ("clip", *backbones):
        pack_windows(
            table,
            events_table(EVENTS),
            root / "features" / backbone,
            config.temporal_agg,
            config,
            out / backbone,
        )
    return out / "clip"


def train_project(root: Path) -> Path:
    """Features, packed windows, and everything that training writes, below ``root``."""
    make_features(root / "features" / "clip", trained=True)
    make_features(root / "features" / "clip_untrained", trained=False)
    pack(root, root / "windows", make_windows(), "clip_untrained")
    places = Places(
        windows=root / "windows",
        out=root / "coop",
        history=root / "history.csv",
        tensorboard=root / "tensorboard",
        scratch=root / "scratch",
    )
    train_coop(CONFIG, TOWER, places)
    return root


def evaluate(
    root: Path,
    *,
    tower: WordTower = TOWER,
    config: EvaluateConfig | None = None,
    checkpoint: Path | None = None,
    windows: Path | None = None,
    splits: tuple[str, ...] = ("val", "test"),
) -> CoopEvaluation:
    """Evaluate the project, or what takes the place of a part of it."""
    config = config or EvaluateConfig(timelines=4)
    checkpoint = checkpoint or root / "coop" / f"coop_{config.checkpoint}.safetensors"
    request = Request(
        checkpoint=checkpoint, windows=windows or root / "windows" / "clip", splits=splits
    )
    return evaluate_prompts(checkpoint, tower, request, config)


def with_windows(root: Path, folder: Path, table: pd.DataFrame) -> CoopEvaluation:
    """Evaluate the project's prompts on other windows of its features."""
    return evaluate(root, windows=pack(root, folder / "windows", table, "clip_untrained"))


def logits_of(features: np.ndarray, text_features: np.ndarray) -> np.ndarray:
    """CLIP's logits, computed in the plainest way."""
    return TOWER.logit_scale * features.astype(np.float64) @ text_features.astype(np.float64).T

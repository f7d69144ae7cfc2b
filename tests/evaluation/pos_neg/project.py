"""Questions about videos whose frames carry their number, and models that read it."""

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline_lib.config import EvaluateConfig, EvaluatePosNegConfig, SimMConfig
from pipeline_lib.evaluation.pos_neg.evaluate import PosNegEvaluation, measure
from pipeline_lib.evaluation.pos_neg.items import questions_of
from pipeline_lib.evaluation.pos_neg.models import Models
from tests.mining.number_backbone import NumberBackbone
from tests.support.video_files import constant_rate, garbage

FPS = 25
FRAMES = 100
# Five sampled frames a second are every fifth frame; 0.1 s are two and a half frames.
POS_NEG = EvaluatePosNegConfig(
    fps=5.0, k=4, recall_at=(1, 4), tolerance_s=0.1, random_draws=3, examples=4
)
CONFIG = EvaluateConfig(pos_neg=POS_NEG, sim_m=SimMConfig(thresholds=(0.998, 0.999)))


class NumberClip(NumberBackbone):
    """Frame i is at i degrees, and the caption "frame i" at i + ``wrong`` degrees."""

    frames_per_sample = 1

    def __init__(self, wrong: int = 0) -> None:
        super().__init__()
        self._wrong = wrong
        self.weights_sha256 = f"wrong by {wrong}"

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        numbers = [int(re.findall(r"\d+", text)[0]) + self._wrong for text in texts]
        angles = np.radians(numbers)
        return 3 * np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


class HereLanes:
    """Runs everything at once, in the caller's thread."""

    def submit(self, function: Any, *args: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args))
        except Exception as error:  # noqa: BLE001
            future.set_exception(error)
        return future


def models(wrong: int = 20) -> Models:
    """Fine-tuning put right what was wrong by ``wrong`` frames."""
    embedder = NumberClip()
    embedder.weights_sha256 = embedder.weights_id = "numbers"
    return Models(NumberClip(wrong), NumberClip(), embedder, "clip")  # type: ignore[arg-type]


def write_videos(root: Path, names: Iterable[str]) -> None:
    for name in names:
        constant_rate(root / name, FRAMES, FPS)


def row(
    name: str,
    *support: int,
    video: str = "test/a/one.mp4",
    about: int | None = None,
    status: str = "mined",
) -> dict[str, Any]:
    """An item whose answer is at frames ``support``, asked for by the number of the first."""
    about = support[0] if about is None and support else about
    return {
        "id": name,
        "line": 1,
        "video_path": video,
        "video_sha256": f"sha of {video}",
        "question": f"frame {about}",
        "choices": ("one", "two"),
        "support_frames": tuple(number / FPS for number in support),
        "status": status,
        "reason": "",
        "message": "",
    }


def evaluate(
    root: Path,
    *rows: dict[str, Any],
    config: EvaluateConfig = CONFIG,
    using: Models | None = None,
    lanes: Any = None,
    splits: Sequence[str] = ("test",),
) -> PosNegEvaluation:
    """Measure items of the videos below ``root``, split by folder."""
    table = pd.DataFrame(rows)
    of_item = table["video_path"].str.split("/").str[0]
    questions = {split: questions_of(table, of_item, split, root, "question") for split in splits}
    return measure(questions, using or models(), config, lanes or HereLanes())


def broken(root: Path, name: str) -> None:
    garbage(root / name)

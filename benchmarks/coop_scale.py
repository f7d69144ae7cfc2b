"""Two million windows of 512 values: packing, an epoch of `fast`, validation, in bounded memory.

Memory is what belongs to the process alone; pages of the mapped matrix are the system's, which
takes them back when it needs them.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from benchmarks.common import PeakMemory, measure, options, report
from benchmarks.usual_coop import CLASSES
from pipeline_lib.config import TrainConfig
from pipeline_lib.datasets.index_tables import event_table
from pipeline_lib.datasets.window_packing import pack_windows
from pipeline_lib.datasets.window_store import open_store
from pipeline_lib.datasets.window_table import make_windows
from pipeline_lib.networks.text_towers import text_tower
from pipeline_lib.runtime.torchvision_ops import import_open_clip
from pipeline_lib.storage.features import (
    ClipRows,
    Manifest,
    VideoEntry,
    write_features,
    write_manifest,
)
from pipeline_lib.trainers.coop.data import load_data
from pipeline_lib.trainers.coop.presets import recipe
from pipeline_lib.trainers.coop.task import CoopTask

_ROWS, _DIM = 100, 512
_CENTRES = np.random.default_rng(1).standard_normal((len(CLASSES), _DIM), dtype=np.float32)
T = TypeVar("T")


class Watch:
    """Seconds and the most private memory of named pieces of work."""

    def __init__(self) -> None:
        self.figures: dict[str, dict[str, float]] = {}

    def __call__(self, name: str, work: Callable[[], T]) -> T:
        """Do and measure ``work``."""
        results: list[T] = []
        with PeakMemory(private_mb) as memory:
            cost = measure(lambda: results.append(work()))
        self.figures[name] = {
            "seconds": round(cost.wall_s, 1),
            "private_mb": round(memory.peak_mb),
        }
        return results[0]


def private_mb() -> float:
    """Anonymous memory of this process, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon:")).split()[1]) / 1024


def write_videos(folder: Path, videos: int) -> Manifest:
    """Features of ``videos`` videos: nine of ten to train on, the rest to validate."""
    rng = np.random.default_rng(0)
    none = np.zeros(0)
    clips = ClipRows(
        np.zeros((0, _DIM), np.float32), none, none, none.astype(int), none.astype(np.float32)
    )
    meta = {
        "source_sha256": "", "rows": _ROWS, "dim": _DIM, "clips": 0,
        "duration_s": float(_ROWS), "decode_errors": 0,
    }  # fmt: skip
    entries: dict[str, VideoEntry] = {}
    for video in range(videos):
        label = video % len(CLASSES)
        split = "val" if video % 10 == 0 else "train"
        rows = _CENTRES[label] + 2 * rng.standard_normal((_ROWS, _DIM), dtype=np.float32)
        name = f"{split}/{CLASSES[label]}/v{video:06d}"
        entries[name] = write_features(folder, name, rows, clips, meta)
    manifest = Manifest("clip", "print", "made", "made", True, _DIM, 1.0, entries)
    write_manifest(folder, manifest)
    return manifest


def main() -> None:
    """Measure and report."""
    parser = options(__doc__ or "")
    parser.add_argument("--videos", type=int, default=20_000)
    given = parser.parse_args()
    library = import_open_clip()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = library.create_model("ViT-B-32", pretrained=None).eval().requires_grad_(False)
    config = TrainConfig(preset="fast", precision="bf16")
    watch = Watch()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = write_videos(folder / "clip", given.videos)
        windows = watch("label", lambda: make_windows(manifest, {}, config))
        nothing = event_table({})
        watch(
            "pack",
            lambda: pack_windows(
                windows, nothing, folder / "clip", "mean", config, folder / "windows" / "clip"
            ),
        )
        tokenizer = library.get_tokenizer("ViT-B-32")
        tower = text_tower(model, tokenizer, weights_sha256="made", precision=torch.bfloat16)
        del model
        before = private_mb()
        packed = folder / "windows" / "clip"
        data = watch("open", lambda: load_data(config, tower, open_store(packed)))
        chosen = recipe(config, len(data.train))
        task = CoopTask(config, chosen, tower, data, 1)
        watch("epoch", lambda: task.train_epoch(2))
        row = watch("validate", task.validate)
    figures = {
        "windows": given.videos * _ROWS,
        "matrix_gb": round(given.videos * _ROWS * _DIM * 4 / 1e9, 2),
        "batch_size": chosen.batch_size,
        "before_mb": round(before),
        **watch.figures,
        "val_balanced_accuracy": round(float(row["val_balanced_accuracy"] or 0), 3),
    }
    report("coop_scale", figures, save=given.save)


if __name__ == "__main__":
    main()

"""A small project folder for the tests of training: packed windows, and where results go."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline_lib.config import TrainConfig
from pipeline_lib.datasets.window_packing import pack_windows
from pipeline_lib.networks.text_towers import TextTower
from pipeline_lib.storage.features import (
    ClipRows,
    Manifest,
    write_features,
    write_manifest,
)
from pipeline_lib.trainers.coop.training import Places
from tests.support.text_models import small_tower

CLASSES = ("fall", "normal", "run")
DIM = 32
ROWS = 6


def tower() -> TextTower:
    """The text tower of the project's features."""
    return small_tower("ViT-B-32")


def config(**changes) -> TrainConfig:
    """Settings that train in a second."""
    return TrainConfig(
        **{
            "n_ctx": 4,
            "lr": 0.01,
            "epochs": 4,
            "batch_size": 8,
            "save_every": 2,
            **changes,
        }
    )


def places(root: Path) -> Places:
    return Places(
        windows=root / "windows",
        out=root / "models" / "coop",
        history=root / "plots" / "history.csv",
        tensorboard=root / "tensorboard",
        scratch=root / "scratch",
    )


def videos(per_split: int = 3, classes: Iterable[str] = CLASSES) -> list[str]:
    return [
        f"{split}/{name}/{name}_{i}"
        for split in ("train", "val")
        for name in classes
        for i in range(per_split)
    ]


def window_table(ids: Iterable[str]) -> pd.DataFrame:
    """One kept window a row of every video, labelled by its directory."""
    return pd.DataFrame(
        [
            {
                "video": video,
                "split": video.split("/")[0],
                "class_name": video.split("/")[1],
                "start_row": row,
                "n_rows": 1,
                "start_s": float(row),
                "end_s": row + 1.0,
                "overlaps_event": False,
                "label": video.split("/")[1],
                "kept": True,
                "reason": "",
            }
            for video in ids
            for row in range(ROWS)
        ]
    )


def pack(root: Path, table: pd.DataFrame, backbone: str = "clip") -> None:
    """Pack the windows of ``table`` from ``root/features`` into ``root/windows``."""
    events = pd.DataFrame({"video": [], "start_s": [], "end_s": []})
    out = root / "windows" / backbone
    pack_windows(table, events, root / "features" / backbone, "mean", config(), out)


def write_store(
    root: Path, ids: Iterable[str], table: pd.DataFrame | None = None, **features
) -> None:
    """The store ``clip`` of these videos; see :func:`write_feature_folder` for ``features``."""
    ids = list(ids)
    write_feature_folder(root / "features" / "clip", ids, **features)
    pack(root, window_table(ids) if table is None else table)


def write_feature_folder(
    directory: Path,
    ids: Iterable[str],
    *,
    weights_sha256: str = "small",
    trained: bool = True,
    dim: int = DIM,
    signal: float = 1.0,
) -> None:
    """Rows that lie around one direction a class: ``signal`` 0 leaves noise."""
    names = sorted({video.split("/")[1] for video in ids})
    entries = {}
    for video in ids:
        rng = np.random.default_rng([ord(letter) for letter in video])
        centre = np.random.default_rng(names.index(video.split("/")[1])).normal(size=dim)
        rows = (signal * centre + rng.normal(size=(ROWS, dim))).astype(np.float32)
        empty = np.zeros(0)
        clips = ClipRows(rows[:0], empty, empty, empty.astype(np.int64), empty.astype(np.float32))
        meta = {
            "source_sha256": "", "rows": ROWS, "dim": dim, "clips": 0,
            "duration_s": float(ROWS), "decode_errors": 0,
        }  # fmt: skip
        entries[video] = write_features(directory, video, rows, clips, meta)
    write_manifest(
        directory,
        Manifest("clip", "print", "model", weights_sha256, trained, dim, 1.0, entries),
    )


def write_project(root: Path) -> Places:
    """The packed windows of a backbone and of its control."""
    ids = videos()
    write_store(root, ids)
    write_feature_folder(
        root / "features" / "noise", ids, weights_sha256="untrained-0", trained=False, signal=0.0
    )
    pack(root, window_table(ids), "noise")
    return places(root)

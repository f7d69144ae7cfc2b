"""A small folder of mined frames, and a CLIP small enough to train on it in a second."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from pipeline_lib.config import ClipConfig, PosNegConfig
from pipeline_lib.datasets.mined import FRAME_COLUMNS, ITEM_COLUMNS
from pipeline_lib.trainers.pos_neg.training import Places
from tests.support.tiny_clip import untrained_clip

COLOURS = {"red": (220, 30, 30), "green": (20, 200, 40), "blue": (30, 60, 230)}


@dataclass(frozen=True)
class Wanted:
    """An item to write: its frames are numbers of frames of its video."""

    id: str
    video: str
    question: str
    true: Sequence[int] = (1, 2)
    negative: Sequence[int] = (5, 6, 7)
    choices: Sequence[str] = ()
    sha256: str | None = None
    status: str = "mined"


def wanted(train: int = 10, val: int = 4) -> list[Wanted]:
    """Items that ask for a colour, two of them about one video."""
    names = list(COLOURS)
    made = [
        Wanted(f"{split}_{i:02d}", f"{split}/{i:02d}.mp4", f"Where is {names[i % 3]}?")
        for split, count in (("train", train), ("val", val))
        for i in range(count)
    ]
    made[1] = Wanted("train_01", "train/00.mp4", "Where is green?", true=(2, 8), negative=(5,))
    return made


def write_mined(folder: Path, items: Iterable[Wanted]) -> Path:
    """Write pictures and both tables; a true frame shows the colour that its item asks for."""
    item_rows, frame_rows = [], []
    for line, item in enumerate(sorted(items, key=lambda item: item.id), start=1):
        digest = f"sha of {item.video}" if item.sha256 is None else item.sha256
        item_rows.append(
            (item.id, line, item.video, digest, item.question, list(item.choices), [1.0],
             item.status, "", "")
        )  # fmt: skip
        if item.status != "mined":
            continue
        for kind, numbers in (("true", item.true), ("neg", item.negative)):
            for number in numbers:
                path = f"frames_{kind}/{item.id}/f{number:06d}.png"
                _draw(folder / path, item, kind, number)
                frame_rows.append(
                    (item.id, kind, -1, path, item.video, number, number / 4, None, None,
                     item.question)
                )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(item_rows, columns=list(ITEM_COLUMNS)).to_parquet(folder / "items.parquet")
    frames = pd.DataFrame(frame_rows, columns=list(FRAME_COLUMNS))
    frames.to_parquet(folder / "mined.parquet")
    return folder


def _draw(path: Path, item: Wanted, kind: str, number: int) -> None:
    rng = np.random.default_rng([number, *item.video.encode()])
    pixels = rng.integers(0, 256, (36, 48, 3), dtype=np.uint8)
    if kind == "true":
        colour = next((rgb for name, rgb in COLOURS.items() if name in item.question), None)
        pixels[8:28, 10:38] = colour or pixels[8:28, 10:38]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def config(**changes) -> PosNegConfig:
    """Settings that train in a second."""
    return PosNegConfig(
        **{"lr": 0.003, "epochs": 3, "batch_size": 4, "precision": "fp32", **changes}
    )


def section(root: Path) -> ClipConfig:
    return untrained_clip(root / "clip")


def places(root: Path) -> Places:
    return Places(
        mined=root / "mined",
        out=root / "models" / "pos_neg",
        history=root / "plots" / "history.csv",
        tensorboard=root / "tensorboard",
        scratch=root / "scratch",
    )


def outputs(root: Path) -> dict[str, bytes]:
    """Every published file with its bytes."""
    produced = [*sorted((root / "models").rglob("*")), root / "plots" / "history.csv"]
    return {str(path.relative_to(root)): path.read_bytes() for path in produced if path.is_file()}

"""A few short videos with captions, and a CLIP small enough to train around it in a second."""

import json
from pathlib import Path

import av
import numpy as np

from pipeline_lib.config import ClipConfig, TempMeStopConfig, VideoTextConfig
from pipeline_lib.trainers.places import VideoPlaces
from tests.support.tiny_clip import CONFIG

COLOURS = {
    "red": (230, 20, 20), "green": (20, 210, 30), "blue": (30, 40, 240), "white": (250, 250, 250),
    "yellow": (240, 230, 20), "violet": (200, 30, 220),
}  # fmt: skip
FRAMES = 8


def vit(root: Path) -> ClipConfig:
    """A CLIP with a vision transformer of three blocks, with random weights."""
    folder = root / "clip"
    folder.mkdir(parents=True, exist_ok=True)
    model = CONFIG["model_cfg"]
    shape = {
        "embed_dim": 32,
        "vision_cfg": {**model["vision_cfg"], "layers": 3},
        "text_cfg": {**model["text_cfg"], "vocab_size": 49408},
    }
    content = {"model_cfg": shape, "preprocess_cfg": CONFIG["preprocess_cfg"]}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    return ClipConfig(model=f"local-dir:{folder}", weights="untrained")


def write_videos(root: Path, train: int = 6, val: int = 6) -> Path:
    """Videos of one colour each with two captions, the same colours in both splits."""
    items = []
    for split, count in (("train", train), ("val", val)):
        for number, (name, rgb) in enumerate(list(COLOURS.items())[:count]):
            path = f"{split}/{number}.mp4"
            _draw(root / "data" / "videos" / path, rgb, number)
            for words in (f"a {name} square", f"something {name} moves"):
                items.append({"video_path": path, "caption": words})
    (root / "data" / "captions.json").write_text(json.dumps({"data": items}))
    return root


def _draw(path: Path, rgb: tuple[int, int, int], number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Were patches or frames alike, rounding would choose what is merged.
    rng = np.random.default_rng(number)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = 48, 48, "yuv420p"
        for moment in range(FRAMES):
            pixels = rng.integers(0, 160, (48, 48, 3), dtype=np.uint8)
            left = 4 + 2 * moment + number
            pixels[8 : 30 + number, left : left + 20] = rgb
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


def config(dataset: dict | None = None, **changes) -> TempMeStopConfig:
    """Settings that train in a second: four frames, joined to two clips before block 1."""
    return TempMeStopConfig(
        **{
            "dataset": VideoTextConfig(**(dataset or {})),
            "clips": 2, "merge_layer": (1,), "merge_frame_num": (2,), "tome_r": 1,
            "max_words": 8, "spatial_width": 8, "epochs": 3, "batch_size": 6,
            "precision": "fp32", "tempme_lr": 0.01, "stop_lr": 0.01, **changes,
        }
    )  # fmt: skip


def places(root: Path) -> VideoPlaces:
    return VideoPlaces(
        data_root=root / "data",
        out=root / "models" / "tempme_stop",
        history=root / "plots" / "history.csv",
        tensorboard=root / "tensorboard",
        scratch=root / "scratch",
        frames=root / "frames",
    )


def outputs(root: Path) -> dict[str, bytes]:
    """Every published file with its bytes."""
    produced = [*sorted((root / "models").rglob("*")), root / "plots" / "history.csv"]
    return {str(path.relative_to(root)): path.read_bytes() for path in produced if path.is_file()}

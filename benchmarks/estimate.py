"""What a million videos would cost: decoding and embedding are measured, the rest is arithmetic."""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import RESULTS, measure, report, write_video
from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.clip import load_clip
from pipeline_lib.config import ClipConfig
from pipeline_lib.extraction.decode import FrameEvent, Job
from pipeline_lib.extraction.decode_pool import decode_here
from pipeline_lib.extraction.schedule import Grid, Stream

_SIZES = {"360p": (640, 360), "720p": (1280, 720), "1080p": (1920, 1080)}
_SECONDS = 60
_FPS = 2.0
_VIDEOS = 1_000_000
_LENGTH_S = 60


def decode_ms(video: Path, stream: Stream) -> float:
    """CPU milliseconds for each frame that a network sees, one decoding thread."""
    seen = []

    def work() -> None:
        job = Job(0, video, "pyav", 1, False, (stream,))
        seen.append(sum(isinstance(event, FrameEvent) for event in decode_here([job])))

    costs = [measure(work).cpu_s for _ in range(3)]
    return 1000 * min(costs) / seen[0]


def model_ms(precision: str) -> float:
    """CPU milliseconds of ViT-B/32 for each frame, one thread, batches of 32."""
    config = ClipConfig(model="ViT-B-32", weights="untrained")
    backbone = load_clip(config, Placement(precision=precision, batch_size=32))
    frames = list(np.random.default_rng(0).integers(0, 255, (32, 224, 224, 3), dtype=np.uint8))
    backbone.encode(frames)
    costs = [measure(lambda: backbone.encode(frames)).cpu_s for _ in range(3)]
    return 1000 * min(costs) / len(frames)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true", help=f"keep the figures in {RESULTS.name}")
    given = parser.parse_args()
    torch.set_num_threads(1)
    network = load_clip(ClipConfig(model="ViT-B-32", weights="untrained"), Placement())
    stream = Stream(network.resize, Grid(every_s=1.0, clip_len_s=2.0, fps=_FPS))
    with tempfile.TemporaryDirectory() as name:
        decoding = {
            label: decode_ms(write_video(Path(name) / f"{label}.mp4", _SECONDS, size=size), stream)
            for label, size in _SIZES.items()
        }
    embedding = {precision: model_ms(precision) for precision in ("fp32", "bf16")}
    frames = _VIDEOS * _LENGTH_S * _FPS
    days = {
        f"{label}, {precision}": round(frames * (decode + embed) / 1000 / 86400)
        for label, decode in decoding.items()
        for precision, embed in embedding.items()
    }
    figures = {
        "decode_cpu_ms_a_sampled_frame": {key: round(value, 2) for key, value in decoding.items()},
        "vit_b32_cpu_ms_a_frame": {key: round(value, 2) for key, value in embedding.items()},
        "frames_of_a_million_minutes": int(frames),
        "core_days_of_a_million_minutes": days,
    }
    report("estimate", figures, save=given.save)


if __name__ == "__main__":
    main()

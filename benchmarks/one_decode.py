"""Four backbones in one decode against the four models alone and one decode alone."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import options, report, rounded, side_by_side, write_video
from pipeline_lib.backbones.base import Backbone
from pipeline_lib.config import (
    ClipConfig,
    DinoV2Config,
    ExtractConfig,
    MobileClipConfig,
    RuntimeConfig,
    SlowFastConfig,
)
from pipeline_lib.extraction.decode import EndEvent, Job
from pipeline_lib.extraction.decode_pool import DecodePool
from pipeline_lib.extraction.executors import Run
from pipeline_lib.extraction.executors.base import Settings
from pipeline_lib.extraction.run import Extraction
from pipeline_lib.video.files import find_videos

NAMES = ("clip", "mobileclip", "slowfast", "dinov2")
CONFIG = ExtractConfig(
    precision="bf16",
    clip=ClipConfig(model="ViT-B-32-quickgelu", weights="untrained"),
    mobileclip=MobileClipConfig(weights="untrained"),
    slowfast=SlowFastConfig(weights="untrained"),
    dinov2=DinoV2Config(model="small", weights="untrained"),
)


def model_alone(backbone: Backbone, samples: int) -> None:
    """As many forward passes on one thread."""
    resize = backbone.resize
    side = resize.crop or resize.size
    shape = (side, side, 3)
    if backbone.frames_per_sample > 1:
        shape = (backbone.frames_per_sample, *shape)
    sample = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    torch.set_num_threads(1)
    backbone.encode([sample] * samples)


def main() -> None:
    """Measure and report."""
    parser = options(__doc__ or "")
    parser.add_argument("--videos", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=32)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = given.video or write_video(folder / "source.mp4", given.seconds)
        videos = folder / "videos"
        videos.mkdir()
        for n in range(given.videos):
            shutil.copy(source, videos / f"{n}.mp4")
        settings = Settings(NAMES, CONFIG, RuntimeConfig(device="cpu"), folder / "out")
        run = Run(settings, settings.load_outputs())
        samples: dict[str, int] = {}

        def together() -> None:
            shutil.rmtree(folder / "out", ignore_errors=True)
            for done in Extraction(run, own_directory=True).extract(find_videos(videos)):
                assert not done.failures
                samples[done.backbone] = done.samples

        def decode() -> None:
            streams = tuple(dict.fromkeys(output.stream for output in run.outputs))
            jobs = [
                Job(n, video.path, "pyav", 1, False, streams)
                for n, video in enumerate(find_videos(videos).videos)
            ]
            ended = sum(isinstance(e, EndEvent) for e in DecodePool(1, 60).events(jobs))
            assert ended == given.videos

        together()
        alone = {
            f"{output.name} alone": lambda o=output: model_alone(o.backbone, samples[o.name])
            for output in run.outputs
        }
        costs = side_by_side({"together": together, "decode alone": decode, **alone}, given.rounds)
    parts = sum(cost.cpu_s for name, cost in costs.items() if name != "together")
    figures = {
        "samples": samples,
        "costs": rounded(costs),
        "together_over_parts": round(costs["together"].cpu_s / parts, 3),
    }
    report("one_decode", figures, save=given.save)


if __name__ == "__main__":
    main()

"""Torch against OpenVINO, on one thread: every backbone, fp32 and bf16."""

from functools import partial

import numpy as np
import torch

from benchmarks.clip_extraction import cosine
from benchmarks.common import options, report, side_by_side
from benchmarks.one_decode import CONFIG, NAMES
from pipeline_lib.backbones import openvino_engine
from pipeline_lib.backbones.loading import load_backbone
from pipeline_lib.config import RuntimeConfig
from pipeline_lib.params_file import override

BATCH = 16


def main() -> None:
    """Measure and report."""
    given = options(__doc__ or "").parse_args()
    torch.set_num_threads(1)
    openvino_engine.cores = lambda: 1
    figures = {}
    for name in NAMES:
        loaded = {
            f"{engine} {precision}": load_backbone(
                name,
                override(CONFIG, {"engine": engine, "precision": precision, "batch_size": BATCH}),
                RuntimeConfig(device="cpu", threads=1),
            )
            for engine in ("torch", "openvino")
            for precision in ("fp32", "bf16")
        }
        first = loaded["torch fp32"]
        side = first.resize.crop or first.resize.size
        shape = (side, side, 3)
        if first.frames_per_sample > 1:
            shape = (first.frames_per_sample, *shape)
        samples = [np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)]
        samples *= first.batch_size
        costs = side_by_side(
            {key: partial(backbone.encode, samples) for key, backbone in loaded.items()},
            given.rounds,
        )
        reference = first.encode(samples)
        figures[name] = {
            key: {
                "ms_a_sample": round(1000 * costs[key].cpu_s / len(samples), 1),
                "lowest_cosine": round(float(cosine(reference, one.encode(samples)).min()), 6),
            }
            for key, one in loaded.items()
        }
    report("engines", figures, save=given.save)


if __name__ == "__main__":
    main()

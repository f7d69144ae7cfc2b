"""SlowFast R50 8x8 on one thread: bf16 against fp32 as the network is published."""

from unittest import mock

import numpy as np
import torch

from benchmarks.clip_extraction import cosine, matrix_rate
from benchmarks.common import options, report, rounded, side_by_side
from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.slowfast import load_slowfast
from pipeline_lib.config import SlowFastConfig
from pipeline_lib.networks import onednn
from pipeline_lib.networks.slowfast import SlowFast

GFLOP_A_CLIP = 131.42  # 65.71 multiply-adds at 32 x 256 x 256


def main() -> None:
    """Measure and report."""
    given = options(__doc__ or "").parse_args()
    torch.set_num_threads(1)
    config = SlowFastConfig(weights="untrained")
    fp32 = load_slowfast(config, Placement(precision="fp32"))
    bf16 = load_slowfast(config, Placement(precision="bf16"))
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (2, 32, 16, 16, 3), dtype=np.uint8)
    clips = list(coarse.repeat(16, axis=2).repeat(16, axis=3))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        published = SlowFast().eval().requires_grad_(False)
    pixels = torch.randn(1, 3, 32, 256, 256)

    def eager() -> None:
        # Torch's own convolutions and memory format, as the published network runs.
        with torch.inference_mode(), mock.patch.object(onednn, "applies", return_value=False):
            for _ in clips:
                published(pixels)

    costs = side_by_side(
        {
            "published form fp32": eager,
            "backbone fp32": lambda: fp32.encode(clips),
            "backbone bf16": lambda: bf16.encode(clips),
        },
        given.rounds,
    )
    plain = costs["published form fp32"].cpu_s
    reached = len(clips) * GFLOP_A_CLIP / costs["backbone bf16"].cpu_s
    figures = {
        "clips": len(clips),
        "costs": rounded(costs),
        "bf16_over_published_fp32": round(costs["backbone bf16"].cpu_s / plain, 3),
        "fp32_over_published_fp32": round(costs["backbone fp32"].cpu_s / plain, 3),
        "bf16_share_of_matrix_rate": round(reached / matrix_rate(torch.bfloat16), 3),
        "bf16_lowest_cosine": round(float(cosine(fp32.encode(clips), bf16.encode(clips)).min()), 6),
    }
    report("slowfast", figures, save=given.save)


if __name__ == "__main__":
    main()

"""CLIPs for tests: shapes of published ones, and small ones with drawn weights."""

import torch

from pipeline_lib.networks.clip_shape import ClipShape
from pipeline_lib.networks.tempme import TempMe

SMALL = ClipShape(
    embed_dim=24, image_size=32, patch_size=8, vision_width=32, vision_layers=4, vision_heads=2,
    vision_hidden=64, context_length=16, vocab_size=50, text_width=16, text_layers=2,
    text_heads=2, text_hidden=40, quick_gelu=True,
)  # fmt: skip


def published_shape(patch=32):
    return ClipShape(512, 224, patch, 768, 12, 12, 3072, 77, 49408, 512, 12, 8, 2048, True)


def small_tempme(schedule, frames, *, lora_dim=3, shape=SMALL, seed=0):
    """All tensors drawn, the additions too."""
    network = TempMe(shape, schedule, frames, lora_dim)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(network.named_parameters()):
            parameter.normal_(std=0.3, generator=generator)
            if ".ln_" in f".{name}" and name.endswith("weight"):
                parameter.add_(1)
    return network.eval().requires_grad_(False)


def pictures(*lead, shape=SMALL, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*lead, 3, shape.image_size, shape.image_size, generator=generator)

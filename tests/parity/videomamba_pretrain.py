"""The student of VideoMamba's masked pretraining as it is published, whatever its size."""

import math

import numpy as np
import torch

from pipeline_lib.networks.masked_videomamba import MaskedVideoMamba
from pipeline_lib.networks.videomamba_shape import VideoMambaShape
from pipeline_lib.trainers.videomamba_pretrain.losses import alignment_loss
from tests.parity.golden import fill


def student(case: dict) -> dict[str, np.ndarray]:
    """Tokens, loss and gradient of the published code's student, in which the last block rests."""
    config, given = case.get("config", {}), fill.inputs(case)
    tensors = {name: torch.from_numpy(np.asarray(a)) for name, a in fill.state_dict(case).items()}
    network = published_student(tensors, config)
    clip, mask = torch.from_numpy(given["clip"]), torch.from_numpy(given["mask"]).bool()
    made = network(clip, mask)
    kind = config.get("clip_loss_type", "l2")
    loss = alignment_loss(made, torch.from_numpy(given["target"]), kind).mean()
    loss.backward()
    # Of what has a gradient at all: in the published code the last block has none.
    squares = [p.grad.double().square().sum() for p in network.parameters() if p.grad is not None]
    return {
        "student": made.detach().numpy(),
        "loss": loss.detach().numpy(),
        "grad_norm": np.float64(torch.stack(squares).sum().sqrt().item()),
    }


def published_student(tensors: dict[str, torch.Tensor], config: dict) -> MaskedVideoMamba:
    """A network of the sizes that a checkpoint's tensors have; ``config`` has the rest."""
    width, _, tubelet, patch, _ = tensors["patch_embed.proj.weight"].shape
    grid = math.isqrt(tensors["pos_embed"].shape[1] - 1)
    shape = VideoMambaShape(
        embed_dim=width,
        depth=sum(name.endswith("mixer.in_proj.weight") for name in tensors),
        patch_size=patch,
        tubelet=tubelet,
        frames=tensors["temporal_pos_embedding"].shape[1] * tubelet,
        image_size=grid * patch,
    )
    heads = sum(name.endswith("head.weight") for name in tensors)
    network = MaskedVideoMamba(
        shape,
        tensors["clip_decoder.0.head.weight"].shape[0],
        aligned_layers=heads,
        layer_interval=config.get("clip_student_return_interval", 1),
        alignment="reference",
        scan="torch",
    )
    network.load_state_dict(tensors, strict=True)
    return network

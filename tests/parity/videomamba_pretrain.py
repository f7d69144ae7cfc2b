"""The student of VideoMamba's masked pretraining as it is published, whatever its size."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline_lib.networks.masked_videomamba import MaskedVideoMamba, Projection
from pipeline_lib.networks.videomamba_block import wide
from pipeline_lib.networks.videomamba_positions import interpolate_positions
from pipeline_lib.networks.videomamba_shape import VideoMambaShape
from pipeline_lib.trainers.videomamba_pretrain.losses import alignment_loss
from tests.parity.golden import fill


def student(case: dict) -> dict[str, np.ndarray]:
    """Tokens, loss and gradient of the published code's student, in which the last block rests."""
    config, given = case.get("config", {}), fill.inputs(case)
    tensors = {name: torch.from_numpy(np.asarray(a)) for name, a in fill.state_dict(case).items()}
    clip, mask = torch.from_numpy(given["clip"]), torch.from_numpy(given["mask"]).bool()
    network = published_student(tensors, config, clip.shape[2], clip.shape[-1])
    # The published loaders leave out the class token, and the program puts it in front.
    made = network(clip, F.pad(mask, (network.shape.tokens - mask.shape[1], 0)))
    loss = alignment_loss(made, torch.from_numpy(given["target"]), said(config, "l2", *LOSS)).mean()
    loss.backward()
    # Of what has a gradient at all: in the published code the last block has none.
    squares = [p.grad.double().square().sum() for p in network.parameters() if p.grad is not None]
    return {
        "student": made.detach().numpy(),
        "loss": loss.detach().numpy(),
        "grad_norm": np.float64(torch.stack(squares).sum().sqrt().item()),
    }


# What the published programs and networks call these options.
LOSS = ("clip_loss_type", "loss_type", "loss")
INTERVAL = ("clip_student_return_interval", "clip_return_interval")
NORM = ("clip_norm_type",)


def said(config: dict, otherwise, *names: str):
    """The first of several names that ``config`` has."""
    return next((config[name] for name in names if name in config), otherwise)


class Unscaled(Projection):
    """A projection whose results keep their length."""

    def forward(self, x: Tensor) -> Tensor:
        return wide(self.norm(self.head(x)))


def published_student(
    tensors: dict[str, Tensor], config: dict, frames: int, image_size: int
) -> MaskedVideoMamba:
    """A network of the sizes that a checkpoint's tensors have; ``config`` has the rest.

    Args:
        tensors: By their published names.
        config: Of the published network.
        frames: Of a clip; positions are interpolated to it.
        image_size: Side of a frame, likewise.
    """
    width, _, tubelet, patch, _ = tensors["patch_embed.proj.weight"].shape
    shape = VideoMambaShape(
        embed_dim=width,
        depth=sum(name.endswith("mixer.in_proj.weight") for name in tensors),
        patch_size=patch,
        tubelet=tubelet,
        frames=frames,
        image_size=image_size,
    )
    heads = [t for name, t in tensors.items() if name.startswith("clip_decoder.") and
             name.endswith(".head.weight")]  # fmt: skip
    dim = heads[0].shape[0]
    network = MaskedVideoMamba(
        shape,
        dim,
        aligned_layers=len(heads),
        layer_interval=math.floor(said(config, 1, *INTERVAL)),
        alignment="reference",
        scan="torch",
    )
    if said(config, "l2", *NORM) != "l2":
        network.clip_decoder = nn.ModuleList(Unscaled(width, dim) for _ in heads)
    network.load_state_dict(interpolate_positions(tensors, shape), strict=True)
    return network

"""MobileCLIP (Vasu et al., CVPR 2024, https://arxiv.org/abs/2311.17049): both towers.

Own implementation under the tensor names of Apple's checkpoints
(https://github.com/apple/ml-mobileclip), in the form it is trained in. For use,
:func:`fuse` replaces parallel branches and batch norms by single convolutions.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from pipeline_lib.networks.mobileclip_image import AttentionBlock, ImageShape, ImageTower
from pipeline_lib.networks.mobileclip_layers import ConvNorm, Fusible
from pipeline_lib.networks.mobileclip_text import TextEncoder, TextShape

# What Apple's fused checkpoints keep as it is.
_KEPT_BY_APPLE = (ConvNorm, AttentionBlock)
_LOGIT_SCALE = math.log(1 / 0.07)


@dataclass(frozen=True)
class MobileClipShape:
    """Sizes of both towers; MobileCLIP-S0 unless told otherwise."""

    image: ImageShape = field(default_factory=ImageShape)
    text: TextShape = field(default_factory=TextShape)


MOBILECLIP_S0 = MobileClipShape()


class MobileClip(nn.Module):
    """An image and a text tower with comparable features. It is only used in eval mode."""

    def __init__(self, shape: MobileClipShape = MOBILECLIP_S0) -> None:
        super().__init__()
        self.image_encoder = ImageTower(shape.image)
        self.text_encoder = TextEncoder(shape.text)
        self.logit_scale = nn.Parameter(torch.tensor(_LOGIT_SCALE))

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Features [B, D], not normalised, of pixels [B, 3, H, W] in [0, 1]."""
        features: Tensor = self.image_encoder(pixels)
        return features

    def encode_text(self, ids: Tensor) -> Tensor:
        """Features [B, D], not normalised, of token ids int64 [B, L]."""
        features: Tensor = self.text_encoder(ids)
        return features


def fuse(network: nn.Module) -> None:
    """Replace branches and batch norms by single convolutions, in place.

    The network computes the same in less time, frozen. Its tensors no longer carry the published
    names: load weights first.
    """
    _replace(network, keep=())


def reparameterise(network: nn.Module) -> None:
    """Bring a network into the form of Apple's fused checkpoints (``reparam_conv``), in place."""
    _replace(network, keep=_KEPT_BY_APPLE)


def is_reparameterised(names: Iterable[str]) -> bool:
    """Whether tensors of these names are of a fused checkpoint."""
    return any(".reparam_conv." in name for name in names)


def _replace(module: nn.Module, keep: tuple[type[nn.Module], ...]) -> None:
    for name, child in list(module.named_children()):
        if isinstance(child, Fusible) and not isinstance(child, keep):
            with torch.no_grad(), next(child.parameters()).device:
                child = child.fused()
            setattr(module, name, child)
        _replace(child, keep)

"""MobileCLIP's image tower: FastViT with larger downsampling, "MCi" in the paper."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline_lib.networks.mobileclip_blocks import (
    ConvFfn,
    LargeKernelConv,
    MobileOne,
    PositionalConv,
    RepMixerBlock,
)
from pipeline_lib.networks.mobileclip_layers import (
    Fusible,
    SqueezeExcite,
    layer_scale,
    named,
    norm_affine,
)

_HEAD_WIDTH = 32


@dataclass(frozen=True)
class ImageShape:
    """Sizes of an image tower.

    Attributes:
        widths: Channels of the four stages, at 1/4, 1/8, 1/16 and 1/32 of the input's size.
        depths: Blocks of each; the last stage attends, the others mix by convolution.
        mlp_ratio: Hidden over outer channels inside a block.
        gated: Whether each of the three downsamplings squeezes and excites.
        final: Channels behind the last expansion.
        dim: Length of a feature.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512)
    depths: tuple[int, ...] = (2, 6, 10, 2)
    mlp_ratio: int = 3
    gated: tuple[bool, ...] = (False, True, True)
    final: int = 1024
    dim: int = 512


class ImageTower(nn.Module):
    """Pictures to features."""

    def __init__(self, shape: ImageShape) -> None:
        super().__init__()
        self.model = named(
            patch_embed=_stem(shape.widths[0]),
            network=nn.Sequential(*_stages(shape)),
            conv_exp=_expansion(shape.widths[-1], shape.final),
            head=_Head(shape.final, shape.dim),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """Features [B, dim] of pixels [B, 3, H, W] in [0, 1]."""
        features: Tensor = self.model(pixels)
        return features


def _stem(width: int) -> nn.Sequential:
    return nn.Sequential(
        MobileOne(3, width, (3, 3), 2),
        MobileOne(width, width, (3, 3), 2, groups=width),
        MobileOne(width, width, (1, 1)),
    )


def _stages(shape: ImageShape) -> list[nn.Module]:
    parts: list[nn.Module] = []
    last = len(shape.widths) - 1
    for stage, (width, depth) in enumerate(zip(shape.widths, shape.depths, strict=True)):
        if stage:
            before = shape.widths[stage - 1]
            parts.append(_Downsampling(before, width, gated=shape.gated[stage - 1]))
        if stage == last:
            parts.append(PositionalConv(width))
        hidden = shape.mlp_ratio * width
        parts.append(
            nn.Sequential(
                *(
                    AttentionBlock(width, hidden)
                    if stage == last
                    else RepMixerBlock(width, hidden, (3, 3), (7, 7))
                    for _ in range(depth)
                )
            )
        )
    return parts


def _expansion(width: int, final: int) -> MobileOne:
    gate = SqueezeExcite(final, final // 16, ("reduce", "expand"))
    return MobileOne(width, final, (3, 3), groups=width, se=gate)


class _Downsampling(nn.Module):
    def __init__(self, inputs: int, outputs: int, *, gated: bool) -> None:
        super().__init__()
        gate = SqueezeExcite(outputs, outputs // 4, ("fc1", "fc2")) if gated else None
        self.proj = nn.Sequential(
            LargeKernelConv(inputs, outputs, gate), MobileOne(outputs, outputs, (1, 1))
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.proj(x)
        return out


class AttentionBlock(Fusible):
    """Attention between all cells, then the mixing of channels."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.norm: nn.Module = nn.BatchNorm2d(channels)
        self.token_mixer = _Attention(channels)
        self.convffn = ConvFfn(channels, hidden, (7, 7))
        self.layer_scale_1 = layer_scale(channels)
        self.layer_scale_2 = layer_scale(channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] to the same shape."""
        x = torch.addcmul(x, self.layer_scale_1, self.token_mixer(self.norm(x)))
        return torch.addcmul(x, self.layer_scale_2, self.convffn(x))

    def fused(self) -> nn.Module:
        """The norm goes into the projection behind it."""
        if not isinstance(self.norm, nn.BatchNorm2d):
            return self
        scale, shift = norm_affine(self.norm)
        qkv = self.token_mixer.qkv
        weight = qkv.weight.double()
        qkv.weight.copy_(weight * scale)
        qkv.bias = nn.Parameter((weight @ shift).float(), requires_grad=False)
        self.norm = nn.Identity()
        return self


class _Attention(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        parts = self.qkv(tokens).unflatten(-1, (3, -1, _HEAD_WIDTH)).transpose(1, 3)
        mixed = F.scaled_dot_product_attention(*parts.unbind(2)).transpose(1, 2).flatten(2)
        return self.proj(mixed).transpose(1, 2).view_as(x)


class _Head(nn.Module):
    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Parameter(torch.randn(channels, dim) * channels**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) @ self.proj

"""Blocks of MobileCLIP under the tensor names of Apple's checkpoints, before and after fusion.

Sources: MobileOne (Vasu et al., CVPR 2023, https://arxiv.org/abs/2206.04040) for the branches,
FastViT (Vasu et al., ICCV 2023, https://arxiv.org/abs/2303.14189) for RepMixer and the large
kernels.
"""

from functools import reduce
from typing import cast

import torch
from torch import Tensor, nn

from pipeline_lib.networks.mobileclip_layers import (
    Affine,
    Conv,
    ConvNorm,
    Fusible,
    Gelu,
    Kernel,
    SqueezeExcite,
    conv_of,
    identity,
    layer_scale,
    named,
    norm_affine,
)


class MobileOne(Fusible):
    """Parallel branches over one input: convolutions, a 1x1 convolution, a normalised skip.

    Which of them exist follows from the shape: a 1x1 branch beside larger kernels, a skip where
    the output has the shape of the input.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        kernel: Of the convolutions.
        stride: Of all branches.
        groups: Of all branches.
        convolutions: How many of full kernel size; 0 leaves the skip alone.
        scale: Whether a 1x1 branch stands beside larger kernels.
        se: Squeeze-and-excite behind the sum.
        activate: Whether GELU follows.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: Kernel,
        stride: int = 1,
        groups: int = 1,
        *,
        convolutions: int = 1,
        scale: bool = True,
        se: SqueezeExcite | None = None,
        activate: bool = True,
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.groups = kernel, stride, groups
        shape = (inputs, outputs)
        self.rbr_skip = nn.BatchNorm2d(inputs) if inputs == outputs and stride == 1 else None
        self.rbr_conv = nn.ModuleList(
            ConvNorm(*shape, kernel, stride, groups) for _ in range(convolutions)
        )
        self.rbr_scale = None
        if scale and kernel != (1, 1):
            self.rbr_scale = ConvNorm(*shape, (1, 1), stride, groups)
        self.se = se
        self.activation = Gelu() if activate else None

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inputs, H, W] to [B, outputs, H / stride, W / stride]."""
        branches = [self.rbr_skip, self.rbr_scale, *self.rbr_conv]
        out = reduce(torch.add, (branch(x) for branch in branches if branch is not None))
        out = out if self.se is None else self.se(out)
        return out if self.activation is None else self.activation(out)

    def affine(self) -> Affine:
        """The sum of all branches as one convolution."""
        convolutions = [cast(ConvNorm, conv) for conv in self.rbr_conv]
        if self.rbr_scale is not None:
            convolutions.append(self.rbr_scale)
        parts = [conv.affine(self.kernel) for conv in convolutions]
        if self.rbr_skip is not None:
            scale, shift = norm_affine(self.rbr_skip)
            kernel = identity(len(scale), self.groups, self.kernel) * scale.view(-1, 1, 1, 1)
            parts.append((kernel, shift))
        weights, biases = zip(*parts, strict=True)
        return torch.stack(weights).sum(0), torch.stack(biases).sum(0)

    def fused(self) -> nn.Module:
        """One convolution, and what follows the sum."""
        conv = conv_of(self.affine(), self.stride, self.groups)
        return named(reparam_conv=conv, se=self.se, activation=self.activation)


class LargeKernelConv(Fusible):
    """A depthwise 7x7 convolution beside a 3x3 one, strided: the start of a downsampling."""

    def __init__(self, inputs: int, outputs: int, se: SqueezeExcite | None) -> None:
        super().__init__()
        self.lkb_origin = ConvNorm(inputs, outputs, (7, 7), 2, groups=inputs)
        self.small_conv = ConvNorm(inputs, outputs, (3, 3), 2, groups=inputs)
        self.se = se
        self.activation = Gelu()

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inputs, H, W] to [B, outputs, H / 2, W / 2]."""
        out = self.lkb_origin(x) + self.small_conv(x)
        out = out if self.se is None else self.se(out)
        return self.activation(out)

    def fused(self) -> nn.Module:
        """One convolution, and what follows the sum."""
        (large, bias), (small, shift) = (
            conv.affine((7, 7)) for conv in (self.lkb_origin, self.small_conv)
        )
        groups = self.lkb_origin.conv.groups
        conv = conv_of((large + small, bias + shift), 2, groups)
        return named(lkb_reparam=conv, se=self.se, activation=self.activation)


class PositionalConv(Fusible):
    """Conditional positions: a depthwise convolution of the features, added to them."""

    def __init__(self, channels: int, kernel: Kernel = (7, 7)) -> None:
        super().__init__()
        self.pe = Conv(channels, channels, kernel, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] to the same shape."""
        return x + self.pe(x)

    def fused(self) -> nn.Module:
        """One convolution."""
        weight, bias = self.pe.weight.double(), cast(Tensor, self.pe.bias).double()
        channels, kernel = len(weight), cast(Kernel, self.pe.kernel_size)
        whole = weight + identity(channels, channels, kernel)
        return named(reparam_conv=conv_of((whole, bias), 1, channels))


class RepMixer(Fusible):
    """Mixes neighbouring tokens: x + scale * (mixer(x) - norm(x)), all of it depthwise.

    Args:
        channels: In and out.
        kernel: Which neighbours.
        scale: Whether the mixer has a 1x1 branch; not where tokens lie in a line.
    """

    def __init__(self, channels: int, kernel: Kernel, *, scale: bool) -> None:
        super().__init__()
        shape = (channels, channels, kernel, 1, channels)
        self.norm = MobileOne(*shape, convolutions=0, scale=False, activate=False)
        self.mixer = MobileOne(*shape, scale=scale, activate=False)
        self.layer_scale = layer_scale(channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] to the same shape."""
        return torch.addcmul(x, self.layer_scale, self.mixer(x) - self.norm(x))

    def fused(self) -> nn.Module:
        """One convolution."""
        (mixed, bias), (kept, shift) = self.mixer.affine(), self.norm.affine()
        scale = self.layer_scale.double()
        channels = len(scale)
        whole = identity(channels, channels, self.mixer.kernel)
        weight = whole + scale.unsqueeze(-1) * (mixed - kept)
        affine = weight, scale.flatten() * (bias - shift)
        return named(reparam_conv=conv_of(affine, 1, channels))


class ConvFfn(nn.Module):
    """A depthwise convolution over neighbours, then two layers over channels."""

    def __init__(self, channels: int, hidden: int, kernel: Kernel) -> None:
        super().__init__()
        self.conv = ConvNorm(channels, channels, kernel, groups=channels)
        self.fc1 = Conv(channels, hidden)
        self.act = Gelu()
        self.fc2 = Conv(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] to the same shape."""
        out: Tensor = self.fc2(self.act(self.fc1(self.conv(x))))
        return out


class RepMixerBlock(nn.Module):
    """Token mixing, then the mixing of channels.

    Args:
        channels: In and out.
        hidden: Inside the channel mixing.
        kernel: Of the token mixer.
        ffn_kernel: Of the convolution before the channel mixing.
        scale: As in :class:`RepMixer`.
    """

    def __init__(
        self, channels: int, hidden: int, kernel: Kernel, ffn_kernel: Kernel, *, scale: bool = True
    ) -> None:
        super().__init__()
        self.token_mixer = RepMixer(channels, kernel, scale=scale)
        self.convffn = ConvFfn(channels, hidden, ffn_kernel)
        self.layer_scale = layer_scale(channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] to the same shape."""
        x = self.token_mixer(x)
        return torch.addcmul(x, self.layer_scale, self.convffn(x))

"""Layers of MobileCLIP, and what turns parallel linear branches into one convolution.

Parallel branches help a network to learn and cost time when it is used. Whatever has them is
:class:`Fusible`: ``fused()`` returns a plain module that computes the same.
"""

from abc import ABC, abstractmethod
from collections import OrderedDict
from typing import TypeAlias, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline_lib.networks import onednn

Kernel: TypeAlias = tuple[int, int]
# Weight and bias of a convolution, in fp64: sums of branches lose nothing on the way.
Affine: TypeAlias = tuple[Tensor, Tensor]

LAYER_SCALE = 1e-5


class Fusible(nn.Module, ABC):
    """A block that one convolution replaces once it is trained."""

    @abstractmethod
    def fused(self) -> nn.Module:
        """A module of fewer parts that computes the same in eval mode."""


def named(**modules: nn.Module | None) -> nn.Sequential:
    """The modules one after another, under these names; ``None`` is left out."""
    return nn.Sequential(OrderedDict((k, m) for k, m in modules.items() if m is not None))


class Conv(nn.Conv2d):
    """A convolution over pictures that keeps their size but for the stride, done by oneDNN.

    On one thread and in fp32 torch takes a kernel of its own for 1x1 convolutions, which makes the
    whole image tower take half as long again.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: Kernel = (1, 1),
        stride: int = 1,
        groups: int = 1,
        *,
        bias: bool = True,
    ) -> None:
        padding = (kernel[0] // 2, kernel[1] // 2)
        super().__init__(inputs, outputs, kernel, stride, padding, groups=groups, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inputs, H, W] to [B, outputs, H / stride, W / stride]."""
        if not onednn.applies(x):
            return super().forward(x)
        padding = cast(Kernel, self.padding)
        return torch.mkldnn_convolution(
            x, self.weight, self.bias, padding, self.stride, self.dilation, self.groups
        )


class Gelu(nn.Module):
    """GELU, in place where no gradient needs its input: new memory costs more than the function."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same; without gradient, ``x`` is overwritten."""
        out: Tensor = F.gelu(x) if x.requires_grad else torch.ops.aten.gelu_(x)
        return out


class ConvNorm(Fusible):
    """A convolution without bias, and batch norm."""

    def __init__(
        self, inputs: int, outputs: int, kernel: Kernel, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = Conv(inputs, outputs, kernel, stride, groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inputs, H, W] to [B, outputs, H / stride, W / stride]."""
        out: Tensor = self.bn(self.conv(x))
        return out

    def affine(self, kernel: Kernel) -> Affine:
        """Both as one convolution of size ``kernel``, at least its own."""
        scale, shift = norm_affine(self.bn)
        weight = self.conv.weight.double() * scale.view(-1, 1, 1, 1)
        rows, columns = ((k - own) // 2 for k, own in zip(kernel, weight.shape[2:], strict=True))
        return F.pad(weight, (columns, columns, rows, rows)), shift

    def fused(self) -> nn.Module:
        """The convolution alone, with a bias."""
        kernel = cast(Kernel, self.conv.kernel_size)
        return named(conv=conv_of(self.affine(kernel), self.conv.stride[0], self.conv.groups))


class SqueezeExcite(nn.Sequential):
    """Scales each channel by what the whole picture shows (Hu et al., CVPR 2018).

    Args:
        channels: In and out.
        hidden: Between its two layers.
        names: Of the two layers.
    """

    def __init__(self, channels: int, hidden: int, names: tuple[str, str]) -> None:
        layers = (nn.Conv2d(channels, hidden, 1), nn.Conv2d(hidden, channels, 1))
        parts = {"pool": nn.AdaptiveAvgPool2d(1), names[0]: layers[0], "act": nn.ReLU()}
        super().__init__(OrderedDict(parts | {names[1]: layers[1], "gate": nn.Sigmoid()}))

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] to the same shape."""
        gate: Tensor = super().forward(x)
        return x * gate


def layer_scale(channels: int) -> nn.Parameter:
    """The factor [channels, 1, 1] on a residual branch, small before training."""
    return nn.Parameter(torch.full((channels, 1, 1), LAYER_SCALE))


def norm_affine(norm: nn.BatchNorm2d) -> Affine:
    """Factor and summand of each channel, fp64 [C], of a batch norm in eval mode."""
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    scale = norm.weight.double() / (variance.double() + norm.eps).sqrt()
    return scale, norm.bias.double() - mean.double() * scale


def identity(channels: int, groups: int, kernel: Kernel) -> Tensor:
    """The kernel that changes nothing, fp64 [channels, channels / groups, *kernel]."""
    weight = torch.zeros(channels, channels // groups, *kernel, dtype=torch.float64)
    return nn.init.dirac_(weight, groups)


def conv_of(affine: Affine, stride: int, groups: int) -> Conv:
    """A frozen convolution in fp32 with this weight and bias."""
    weight, bias = affine
    outputs, inputs, rows, columns = weight.shape
    with torch.device("meta"):  # no random weights are drawn only to be replaced
        conv = Conv(inputs * groups, outputs, (rows, columns), stride, groups)
    conv.weight = nn.Parameter(weight.float(), requires_grad=False)
    conv.bias = nn.Parameter(bias.float(), requires_grad=False)
    return conv

"""SlowFast R50 8x8: a slow pathway that sees what is there, a fast one that sees how it moves.

Feichtenhofer et al., "SlowFast Networks for Video Recognition", https://arxiv.org/abs/1812.03982,
in the form and under the tensor names that PyTorchVideo publishes
(https://github.com/facebookresearch/pytorchvideo): lateral connections of kernel 7, and a head
that averages windows of 7x7 cells.
"""

from itertools import pairwise
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pipeline_lib.errors import ConfigError
from pipeline_lib.networks import onednn

FRAMES = 32
# Every alpha-th frame reaches the slow pathway.
ALPHA = 4
CLASSES = 400
DIM = 2304
_DEPTHS = (3, 4, 6, 3)
# Widths of (slow, fast): behind the stem, and behind each stage.
_STEM_WIDTHS = (64, 8)
_STAGE_WIDTHS = ((256, 32), (512, 64), (1024, 128), (2048, 256))
# Frames that the first convolution of a block spans, by stage.
_TEMPORAL_KERNELS = ((1, 3), (1, 3), (3, 3), (3, 3))
# The head averages windows of this many cells; a cell is 32 pixels.
_WINDOW = 7
_STRIDE = 32


def fast_indices(n: int) -> NDArray[np.int64]:
    """Which of a clip's ``n`` frames the network gets, int64 [32]; fewer frames are repeated.

    Raises:
        ValueError: There is no frame.
    """
    return _spread(n, FRAMES)


def slow_indices() -> NDArray[np.int64]:
    """Which of the network's 32 frames reach the slow pathway, int64 [8]."""
    return _spread(FRAMES, FRAMES // ALPHA)


def _spread(n: int, wanted: int) -> NDArray[np.int64]:
    if n < 1:
        raise ValueError("a clip without frames has none to choose")
    return np.linspace(0, n - 1, wanted).astype(np.int64)


class SlowFast(nn.Module):
    """SlowFast R50 8x8 with the published tensor names.

    Args:
        classes: Outputs of the classification layer.
    """

    _slow: Tensor

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        stages: list[nn.Module] = [_Stem()]
        inputs = _STEM_WIDTHS
        for index, widths in enumerate(_STAGE_WIDTHS):
            stages.append(_Stage(inputs, index))
            inputs = widths
        # The published sequence counts pooling, which has no tensors, as its sixth part.
        self.blocks = nn.ModuleList([*stages, nn.Identity(), _Head(classes)])
        self.register_buffer("_slow", torch.from_numpy(slow_indices()), persistent=False)

    def forward(self, clip: Tensor) -> Tensor:
        """Features fp32 [B, 2304], slow before fast, of normalised clips [B, 3, 32, H, W].

        Raises:
            ConfigError: Not 32 frames, or a side too short for the head's windows.
        """
        _check_shape(clip)
        slow, fast = clip.index_select(2, self._slow), clip
        for stage in self.blocks[:-2]:
            slow, fast = stage(slow, fast)
        return torch.cat([_pool(slow), _pool(fast)], dim=1)

    def classify(self, features: Tensor) -> Tensor:
        """Logits [B, classes] of features [B, 2304]."""
        layer = cast(_Head, self.blocks[-1]).proj
        logits: Tensor = layer(features.to(layer.weight.dtype))
        return logits


def fold_batch_norm(network: nn.Module) -> None:
    """Multiply every BatchNorm in eval mode into the convolution registered right before it.

    The network computes the same with fewer passes over its activations, and its tensors no
    longer carry the published names: load weights first.
    """
    for module in network.modules():
        children = list(module.named_children())
        for (conv_name, conv), (norm_name, norm) in pairwise(children):
            if isinstance(conv, nn.Conv3d) and isinstance(norm, nn.BatchNorm3d):
                setattr(module, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(module, norm_name, nn.Identity())


class _Stem(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        slow, fast = _STEM_WIDTHS
        self.multipathway_blocks = nn.ModuleList([_StemPath(slow, 1), _StemPath(fast, 5)])
        self.multipathway_fusion = _Fusion(fast)

    def forward(self, slow: Tensor, fast: Tensor) -> tuple[Tensor, Tensor]:
        slow_path, fast_path = self.multipathway_blocks
        slow, fast = slow_path(slow), fast_path(fast)
        return self.multipathway_fusion(slow, fast), fast


class _StemPath(nn.Module):
    def __init__(self, width: int, frames: int) -> None:
        super().__init__()
        self.conv = _conv(3, width, (frames, 7, 7), (1, 2, 2))
        self.norm = nn.BatchNorm3d(width)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool3d(self.norm(self.conv(x)), (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))
        return F.relu_(x)  # behind the pooling it has a quarter of the work and the same result


class _Fusion(nn.Module):
    """The lateral connection: fast features, strided in time, behind the slow channels."""

    def __init__(self, fast: int) -> None:
        super().__init__()
        self.conv_fast_to_slow = _conv(fast, 2 * fast, (7, 1, 1), (ALPHA, 1, 1))
        self.norm = nn.BatchNorm3d(2 * fast)

    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:
        return torch.cat([slow, F.relu_(self.norm(self.conv_fast_to_slow(fast)))], dim=1)


class _Stage(nn.Module):
    """One residual stage of both pathways; the last one has no lateral connection."""

    def __init__(self, inputs: tuple[int, int], index: int) -> None:
        super().__init__()
        slow, fast = inputs
        # The slow input carries the fast features that the lateral connection added.
        self.multipathway_blocks = nn.ModuleList(
            _Path(width, _STAGE_WIDTHS[index][path], index, path)
            for path, width in enumerate((slow + 2 * fast, fast))
        )
        last = index == len(_DEPTHS) - 1
        self.multipathway_fusion = None if last else _Fusion(_STAGE_WIDTHS[index][1])

    def forward(self, slow: Tensor, fast: Tensor) -> tuple[Tensor, Tensor]:
        slow_path, fast_path = self.multipathway_blocks
        slow, fast = slow_path(slow), fast_path(fast)
        if self.multipathway_fusion is not None:
            slow = self.multipathway_fusion(slow, fast)
        return slow, fast


class _Path(nn.Module):
    def __init__(self, inputs: int, width: int, index: int, path: int) -> None:
        super().__init__()
        frames = _TEMPORAL_KERNELS[index][path]
        first = _Block(inputs, width, frames, stride=1 if index == 0 else 2)
        rest = [_Block(width, width, frames) for _ in range(_DEPTHS[index] - 1)]
        self.res_blocks = nn.Sequential(first, *rest)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.res_blocks(x)
        return out


class _Block(nn.Module):
    def __init__(self, inputs: int, width: int, frames: int, stride: int = 1) -> None:
        super().__init__()
        if inputs != width:
            self.branch1_conv: nn.Module = _conv(inputs, width, (1, 1, 1), (1, stride, stride))
            self.branch1_norm: nn.Module = nn.BatchNorm3d(width)
        else:
            self.branch1_conv = self.branch1_norm = nn.Identity()
        self.branch2 = _Bottleneck(inputs, width, frames, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.branch1_norm(self.branch1_conv(x))
        return F.relu_(self.branch2(x).add_(shortcut))


class _Bottleneck(nn.Module):
    def __init__(self, inputs: int, width: int, frames: int, stride: int) -> None:
        super().__init__()
        inner = width // 4
        self.conv_a = _conv(inputs, inner, (frames, 1, 1))
        self.norm_a = nn.BatchNorm3d(inner)
        self.conv_b = _conv(inner, inner, (1, 3, 3), (1, stride, stride))
        self.norm_b = nn.BatchNorm3d(inner)
        self.conv_c = _conv(inner, width, (1, 1, 1))
        self.norm_c = nn.BatchNorm3d(width)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu_(self.norm_a(self.conv_a(x)))
        x = F.relu_(self.norm_b(self.conv_b(x)))
        out: Tensor = self.norm_c(self.conv_c(x))
        return out


class _Head(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.proj = nn.Linear(DIM, classes)


class _Conv(nn.Conv3d):
    """A convolution that oneDNN does in fp32 as well.

    On one thread torch takes its own kernel for one clip's narrow convolutions, which makes the
    whole network take twice as long.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not onednn.applies(x):
            return super().forward(x)
        padding = cast(tuple[int, ...], self.padding)
        return torch.mkldnn_convolution(
            x, self.weight, self.bias, padding, self.stride, self.dilation, self.groups
        )


def _conv(
    inputs: int, width: int, kernel: tuple[int, int, int], stride: tuple[int, int, int] = (1, 1, 1)
) -> nn.Conv3d:
    frames, height, breadth = kernel
    padding = (frames // 2, height // 2, breadth // 2)
    return _Conv(inputs, width, kernel, stride, padding, bias=False)


def _pool(x: Tensor) -> Tensor:
    """Mean over time and over all 7x7 windows of [B, C, T, H, W].

    Cells near the border lie in fewer windows and count less; only at 224 pixels, where there is
    one window, is it a plain mean.
    """
    # In fp32 whatever x is: the sums are long, and few devices pool in bf16.
    return F.avg_pool2d(x.float().mean(2), _WINDOW, stride=1).mean((2, 3))


def _check_shape(clip: Tensor) -> None:
    frames, *sides = clip.shape[2:]
    if frames != FRAMES:
        raise ConfigError(f"SlowFast takes clips of {FRAMES} frames, not {frames}.")
    shortest = (_WINDOW - 1) * _STRIDE + 1
    if min(sides) < shortest:
        raise ConfigError(
            f"SlowFast takes frames of at least {shortest}x{shortest} pixels, not "
            f"{sides[1]}x{sides[0]}: its head averages windows of {_WINDOW}x{_WINDOW} cells.",
            hint="Scale the short side to 256, as the network was trained.",
        )

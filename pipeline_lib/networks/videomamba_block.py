"""The block of VideoMamba: a norm, and a state space model that reads tokens in both directions.

Li et al., "VideoMamba: State Space Model for Efficient Video Understanding",
https://arxiv.org/abs/2403.06977, under the tensor names of
https://github.com/OpenGVLab/VideoMamba. Inside, tensors are [L, B, ...]: a step of the recurrence
and a tap of the convolution are then contiguous, and no direction needs a flipped copy.
"""

import math
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline_lib.networks.causal_conv import causal_conv_silu
from pipeline_lib.networks.onednn_linear import linear
from pipeline_lib.networks.selective_scan import selective_scan

# As published for every size: channels, states of a channel, and taps of the convolution.
EXPANSION = 2
STATES = 16
TAPS = 4
_EPS = 1e-5
_RANK = 16  # tokens' width for each number that a step size is made from


class State(NamedTuple):
    """What a block hands on.

    Attributes:
        hidden: Output of its mixer, not yet added.
        residual: Sum of everything before; fp32 (fp64 for fp64 weights).
    """

    hidden: Tensor
    residual: Tensor


class RMSNorm(nn.Module):
    """``x / sqrt(mean(x^2) + 1e-5) * weight``, computed in fp32 or wider.

    Args:
        width: Of a token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Normed [..., width]."""
        x = wide(x)
        scale = torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + _EPS)
        return x * scale * self.weight


class DropPath(nn.Module):
    """Leaves out whole samples while training, and scales up the others to make up for it.

    Args:
        rate: Chance of leaving a sample out.

    Attributes:
        kept: Which samples of the next passes are kept, bool [B]; ``None`` draws them from
            torch's global stream.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.kept: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """``x`` [L, B, C] with samples of zeros."""
        if not (self.training and self.rate):
            return x
        keep = 1 - self.rate
        kept = self.kept
        if kept is None:
            kept = torch.rand(x.shape[1], device=x.device) < keep
        return x * (kept[:, None] / keep).to(x.dtype)

    def extra_repr(self) -> str:
        """The rate."""
        return f"rate={self.rate:g}"


class Mixer(nn.Module):
    """Mamba in both directions, which share their projections in and out.

    Args:
        width: C of a token.
        scan: What runs the recurrence, as ``runtime.scan`` names it.
    """

    def __init__(self, width: int, scan: str = "auto") -> None:
        super().__init__()
        inner, rank = EXPANSION * width, math.ceil(width / _RANK)
        self.scan = scan
        self.rank = rank
        self.in_proj = nn.Linear(width, 2 * inner, bias=False)
        self.A_log = nn.Parameter(torch.empty(inner, STATES))
        self.D = nn.Parameter(torch.empty(inner))
        self.conv1d = nn.Conv1d(inner, inner, TAPS, groups=inner)
        self.x_proj = nn.Linear(inner, rank + 2 * STATES, bias=False)
        self.dt_proj = nn.Linear(rank, inner)
        self.A_b_log = nn.Parameter(torch.empty(inner, STATES))
        self.D_b = nn.Parameter(torch.empty(inner))
        self.conv1d_b = nn.Conv1d(inner, inner, TAPS, groups=inner)
        self.x_proj_b = nn.Linear(inner, rank + 2 * STATES, bias=False)
        self.dt_proj_b = nn.Linear(rank, inner)
        self.out_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor, outputs: int | None = None) -> Tensor:
        """Tokens mixed along L.

        Args:
            x: [L, B, C].
            outputs: How many of the first tokens are wanted; ``None`` for all.

        Returns:
            [L, B, C], or as many tokens as wanted.
        """
        into, gating = self.in_proj.weight.chunk(2)
        tokens = linear(x, into, None)
        ahead = self._direction(
            tokens[:outputs], self.conv1d, self.x_proj, self.dt_proj, self.A_log, self.D
        )
        back = self._direction(
            tokens.flip(0), self.conv1d_b, self.x_proj_b, self.dt_proj_b, self.A_b_log, self.D_b
        )
        # Both directions have the same gate, so it is applied once.
        gate = F.silu(linear(x[:outputs], gating, None))
        both = ahead + back[-len(ahead) :].flip(0)
        return linear(both * gate, self.out_proj.weight, None)

    def _direction(
        self,
        tokens: Tensor,
        conv: nn.Conv1d,
        x_proj: nn.Linear,
        dt_proj: nn.Linear,
        log_decay: Tensor,
        skip: Tensor,
    ) -> Tensor:
        u = causal_conv_silu(tokens, conv.weight, cast(Tensor, conv.bias))
        made = linear(u, x_proj.weight, None)
        step, b, c = made.split([self.rank, STATES, STATES], dim=-1)
        # With so few columns, this product has a far faster gradient than a linear layer.
        delta = step @ dt_proj.weight.t().contiguous()
        y = selective_scan(
            u.permute(1, 2, 0),
            delta.permute(1, 2, 0),
            -torch.exp(wide(log_decay)),
            b.permute(1, 2, 0),
            c.permute(1, 2, 0),
            wide(skip),
            delta_bias=wide(dt_proj.bias),
            delta_softplus=True,
            backend=self.scan,
        )
        return y.permute(2, 0, 1)


class Block(nn.Module):
    """Adds what came before, norms, mixes.

    Args:
        width: C of a token.
        drop_path: Chance that a sample's previous mixer is left out.
        scan: What runs the recurrence.
    """

    def __init__(self, width: int, drop_path: float = 0.0, scan: str = "auto") -> None:
        super().__init__()
        self.mixer = Mixer(width, scan)
        self.norm = RMSNorm(width)
        self.drop_path = DropPath(drop_path)

    def forward(self, hidden: Tensor, residual: Tensor | None, outputs: int | None = None) -> State:
        """Mix tokens.

        Args:
            hidden: [L, B, C], of the block before, or the tokens themselves.
            residual: [L, B, C]; ``None`` for the first block.
            outputs: How many of the first tokens are wanted; ``None`` for all.
        """
        residual = wide(hidden) if residual is None else residual + self.drop_path(hidden)
        return State(self.mixer(self.norm(residual), outputs), residual[:outputs])


def wide(x: Tensor) -> Tensor:
    """``x`` in fp32, or as it is in fp64."""
    return x if x.dtype == torch.float64 else x.float()

"""The short convolution of Mamba: each channel by itself, from a token and those before it.

The recurrence behind it has time first, where every tap is one fused multiply-add of contiguous
memory; torch's convolution wants time last, and with copies in between training takes longer.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def causal_conv_silu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``silu(conv(x))``, where a token's result depends on none behind it.

    Args:
        x: [L, B, D].
        weight: [D, 1, K], the tap of the token itself last, as ``nn.Conv1d`` has it.
        bias: [D].

    Returns:
        [L, B, D] in the type of ``x``; half precision is computed in fp32.
    """
    out: Tensor = _CausalConv.apply(x, weight, bias)
    return out


class _CausalConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, bias)
        return F.silu(_convolved(x, _taps(weight), bias), inplace=True).to(x.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight, bias = ctx.saved_tensors
        taps = _taps(weight)
        # One pass a tap is cheaper than keeping an array of this size for every block.
        before = _convolved(x, taps, bias)
        grad = torch.ops.aten.silu_backward(grad.to(before.dtype), before)
        grad_x, grad_taps, product = taps[0] * grad, torch.empty_like(taps), before
        for delay, tap in enumerate(taps):
            n = max(len(x) - delay, 0)
            if delay:
                grad_x[:n].addcmul_(grad[delay:], tap)
            torch.mul(x[:n], grad[delay:], out=product[:n])
            torch.sum(product[:n], dim=(0, 1), out=grad_taps[delay])
        grad_weight = grad_taps.flip(0).t().unsqueeze(1)
        return grad_x.to(x.dtype), grad_weight.to(weight.dtype), grad.sum((0, 1)).to(bias.dtype)


def _taps(weight: Tensor) -> Tensor:
    """[K, D], of the token itself first; not in half precision."""
    taps = weight[:, 0].t().flip(0)
    return taps if taps.dtype == torch.float64 else taps.float()


def _convolved(x: Tensor, taps: Tensor, bias: Tensor) -> Tensor:
    out = torch.addcmul(bias.to(taps.dtype), x, taps[0])
    for delay, tap in enumerate(taps[1:], start=1):
        # Of fewer tokens than taps, the slices are empty.
        out[delay:].addcmul_(x[: max(len(x) - delay, 0)], tap)
    return out

"""Linear layers by oneDNN on the CPU.

Torch gives fp32 products to MKL, which has slow kernels for processors of other makers than its
own; there, oneDNN is more than twice as fast. Its product also applies an activation for free.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline_lib.networks import onednn

Activation = Literal["none", "swish", "gelu"]
# Gradients of weights with a shorter side than this are no faster by oneDNN.
_NARROW = 32


class Linear(nn.Linear):
    """``nn.Linear`` through :func:`linear`."""

    def forward(self, input: Tensor) -> Tensor:
        """As ``nn.Linear``."""
        return linear(input, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``F.linear``, by oneDNN where that is possible; gradients included."""
    if not applies(x):
        return F.linear(x, weight, bias)
    if torch.is_grad_enabled():
        out: Tensor = _Product.apply(x, weight, bias)
        return out
    return activated(x, weight, bias, "none")


def activated(x: Tensor, weight: Tensor, bias: Tensor | None, activation: Activation) -> Tensor:
    """A linear layer and its activation in one pass, without a gradient.

    Args:
        x: fp32 on the CPU, [..., d].
        weight: [h, d].
        bias: [h].
        activation: ``swish`` is ``x * sigmoid(x)``; ``gelu`` is exact.

    Raises:
        RuntimeError: :func:`applies` does not hold.
    """
    product = torch.ops.mkldnn._linear_pointwise
    out: Tensor = product(x, weight, bias, activation, [], "none" if activation == "gelu" else "")
    return out


def applies(x: Tensor) -> bool:
    """Whether oneDNN should multiply ``x``."""
    return (
        onednn.applies(x)
        and not torch.is_autocast_enabled("cpu")
        and x.numel() > 0
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


class _Product(torch.autograd.Function):
    """The gradient of a linear layer, which oneDNN's operator does not bring along."""

    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx, x: Tensor, weight: Tensor, bias: Tensor | None
    ) -> Tensor:
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight)
        return activated(x, weight, bias, "none")

    @staticmethod
    def backward(  # type: ignore[no-untyped-def]
        ctx, out: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        need_x, need_weight, need_bias = ctx.needs_input_grad
        rows = out.flatten(0, -2)
        return (
            activated(out.contiguous(), weight.T, None, "none") if need_x else None,
            _weight_gradient(rows, x.flatten(0, -2)) if need_weight else None,
            rows.sum(dim=0) if need_bias else None,
        )


def _weight_gradient(out: Tensor, x: Tensor) -> Tensor:
    """[h, d], of the layer's gradient [n, h] and its input [n, d]."""
    if min(out.shape[1], x.shape[1]) < _NARROW:
        return out.T @ x
    return activated(out.T, x.T, None, "none")

"""Attention whose projections are linear layers that are called.

``nn.MultiheadAttention`` and the pooling of open_clip's ResNets read their projections' weights
and never call them as layers, so that whatever is wrapped around a layer (a low-rank addition) or
put in its place would be passed over in silence.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_PARTS = ("q_proj", "k_proj", "v_proj")


class LayeredAttention(nn.Module):
    """The attention of a ``nn.MultiheadAttention``, its joint projection split into three layers.

    Args:
        joint: One for which :func:`can_be_layered` holds; its weights are copied.
    """

    def __init__(self, joint: nn.MultiheadAttention) -> None:
        super().__init__()
        self.heads = joint.num_heads
        self.batch_first = joint.batch_first
        weights, biases = joint.in_proj_weight.chunk(3), joint.in_proj_bias.chunk(3)
        self.q_proj, self.k_proj, self.v_proj = map(_linear, weights, biases)
        self.out_proj = _linear(joint.out_proj.weight, joint.out_proj.bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        need_weights: bool = False,
        attn_mask: Tensor | None = None,
    ) -> tuple[Tensor, None]:
        """As the original, without the attention weights.

        Args:
            query: [B, L, width], or [L, B, width] without ``batch_first``.
            key: [B, S, width] or [S, B, width].
            value: As ``key``.
            need_weights: False; open_clip's blocks say so.
            attn_mask: Added to the scores, [L, S] or [B * heads, L, S].

        Raises:
            ValueError: Attention weights are asked for.
        """
        if need_weights:
            raise ValueError("LayeredAttention gives no attention weights.")
        inputs = [query, key, value]
        if not self.batch_first:
            inputs = [x.transpose(0, 1) for x in inputs]
        layers = (self.q_proj, self.k_proj, self.v_proj)
        mixed = _attend([f(x) for f, x in zip(layers, inputs, strict=True)], self.heads, attn_mask)
        out = self.out_proj(mixed)
        return (out if self.batch_first else out.transpose(0, 1)), None


class LayeredAttentionPool(nn.Module):
    """The attention pooling at the end of open_clip's ResNets, under the same parameter names.

    Args:
        pool: An ``AttentionPool2d`` of open_clip; its layers are taken over.
    """

    def __init__(self, pool: Any) -> None:
        super().__init__()
        self.heads = pool.num_heads
        self.positional_embedding = pool.positional_embedding
        self.q_proj, self.k_proj, self.v_proj = pool.q_proj, pool.k_proj, pool.v_proj
        self.c_proj: nn.Module = pool.c_proj

    def forward(self, x: Tensor) -> Tensor:
        """Features [B, D] of maps [B, C, H, W]: what the mean of all places attends to."""
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([x.mean(dim=1, keepdim=True), x], dim=1)
        x = x + self.positional_embedding.to(x.dtype)
        mixed = _attend([self.q_proj(x[:, :1]), self.k_proj(x), self.v_proj(x)], self.heads, None)
        pooled: Tensor = self.c_proj(mixed[:, 0])
        return pooled


def can_be_layered(module: nn.Module) -> bool:
    """Whether :class:`LayeredAttention` computes what ``module`` does in eval mode."""
    return (
        isinstance(module, nn.MultiheadAttention)
        and module._qkv_same_embed_dim
        and module.in_proj_bias is not None
        and module.bias_k is None
        and not module.add_zero_attn
    )


def joined(tensors: Mapping[str, Tensor], attention: str) -> dict[str, Tensor]:
    """``tensors`` with one attention's three projections as the original's joint one.

    Args:
        tensors: By name.
        attention: The name of a :class:`LayeredAttention`.
    """
    kept = dict(tensors)
    for kind in ("weight", "bias"):
        parts = [kept.pop(f"{attention}.{part}.{kind}") for part in _PARTS]
        kept[f"{attention}.in_proj_{kind}"] = torch.cat(parts)
    return kept


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    layer.weight = nn.Parameter(weight.detach().clone())
    layer.bias = nn.Parameter(bias.detach().clone())
    return layer


def _attend(parts: list[Tensor], heads: int, mask: Tensor | None) -> Tensor:
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in parts)
    if mask is not None:
        mask = mask.to(q.dtype)
        if mask.dim() > 2:
            mask = mask.unflatten(0, (-1, heads))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)

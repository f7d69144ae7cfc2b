"""Attention with OpenAI's tensor names and a low-rank addition to its joint projection.

The addition is that of LoRA (https://arxiv.org/abs/2106.09685) in TempMe's form: queries, keys and
values share one down-projection; scale 1, no dropout.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline_lib.networks.onednn_linear import Linear, linear


class LoraAttention(nn.Module):
    """Multi-head attention; projecting and attending are apart, so that keys can be added.

    Args:
        width: d.
        heads: Of the attention.
        rank: Of the low-rank addition; 0 has none.
    """

    def __init__(self, width: int, heads: int, rank: int = 0) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.zeros(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = Linear(width, width)
        self.TVPt_LoRA_a = nn.Parameter(torch.zeros(rank, width)) if rank else None
        self.TVPt_LoRA_b = nn.Parameter(torch.zeros(3 * width, rank)) if rank else None
        self._folded: tuple[tuple[object, ...], Tensor] | None = None

    def reset_lora(self, generator: torch.Generator) -> None:
        """Draw the addition as LoRA starts: it changes nothing before the first step."""
        if self.TVPt_LoRA_a is None or self.TVPt_LoRA_b is None:
            return
        # Kaiming's uniform distribution with a = sqrt(5), the start of torch's linear layers.
        bound = 1 / math.sqrt(self.TVPt_LoRA_a.shape[1])
        with torch.no_grad():
            self.TVPt_LoRA_a.uniform_(-bound, bound, generator=generator)
            self.TVPt_LoRA_b.zero_()

    def project(self, x: Tensor, queries: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each [B, heads, n, d / heads], of tokens [B, n, d].

        Args:
            x: The tokens.
            queries: How many tokens in front ask; ``None`` for all.
        """
        width = x.shape[-1]
        if queries is None:
            q, k, v = self._split(self._rows(x, 0, 3 * width), 3)
            return q, k, v
        (q,) = self._split(self._rows(x[:, :queries], 0, width), 1)
        k, v = self._split(self._rows(x, width, 3 * width), 2)
        return q, k, v

    def _split(self, joint: Tensor, parts: int) -> Tensor:
        return joint.unflatten(-1, (parts, self.heads, -1)).permute(2, 0, 3, 1, 4)

    def _rows(self, x: Tensor, first: int, last: int) -> Tensor:
        weight, bias = self.in_proj_weight, self.in_proj_bias[first:last]
        down, up = self.TVPt_LoRA_a, self.TVPt_LoRA_b
        if down is None or up is None:
            return linear(x, weight[first:last], bias)
        if torch.is_grad_enabled():
            # Apart, no gradient of the frozen weight's size is ever made.
            joint = linear(x, weight[first:last], bias)
            return joint + linear(linear(x, down, None), up[first:last], None)
        return linear(x, self._whole_weight(down, up)[first:last], bias)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
        """What queries read from keys and values, projected.

        Args:
            q: [B, heads, n, d / heads].
            k: [B, heads, m, d / heads].
            v: As ``k``.
            bias: Added to the scores, broadcastable to [B, heads, n, m].

        Returns:
            [B, n, d].
        """
        if bias is not None:
            bias = bias.to(q.dtype)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return out

    def _whole_weight(self, down: Tensor, up: Tensor) -> Tensor:
        parts = (self.in_proj_weight, down, up)
        # A tensor that is written to in place gets another version, one that moves another address.
        key = tuple((p.data_ptr(), 0 if p.is_inference() else p._version, p.dtype) for p in parts)
        if self._folded is None or self._folded[0] != key:
            with torch.autocast(down.device.type, enabled=False):
                self._folded = (key, torch.addmm(self.in_proj_weight, up, down))
        return self._folded[1]

"""A frozen stack of open_clip's text blocks, run on tokens as one matrix.

``nn.MultiheadAttention`` transposes its input, and the backward pass of a linear layer on such a
view copies the weights once for every text; with the tokens of all texts in one matrix it is a
plain product. In bf16 that is several times faster, and the numbers are the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class _Linear:
    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x.to(self.weight.dtype), self.weight, self.bias)


@dataclass(frozen=True)
class _Block:
    heads: int
    norm_1: nn.Module
    qkv: _Linear
    out: _Linear
    scale_1: nn.Module
    norm_2: nn.Module
    up: _Linear
    activation: nn.Module
    down: _Linear
    scale_2: nn.Module

    def __call__(self, x: Tensor, rows: int, visible: Tensor | None) -> Tensor:
        q, k, v = (
            part.view(rows, -1, self.heads, x.shape[1] // self.heads).transpose(1, 2)
            for part in self.qkv(self.norm_1(x)).chunk(3, dim=-1)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=visible)
        x = x + self.scale_1(self.out(mixed.transpose(1, 2).reshape(x.shape)).float())
        return x + self.scale_2(self.down(self.activation(self.up(self.norm_2(x)))).float())


class FrozenBlocks:
    """Pre-norm attention blocks: products, attention and activation in ``dtype``, sums in fp32.

    Args:
        blocks: open_clip's ``ResidualAttentionBlock``, frozen.
        dtype: fp32 keeps the model's own weights; another one holds copies of them.
    """

    def __init__(self, blocks: Sequence[Any], dtype: torch.dtype) -> None:
        def linear(weight: Tensor, bias: Tensor) -> _Linear:
            return _Linear(weight.detach().to(dtype), bias.detach().to(dtype))

        self._blocks = [
            _Block(
                heads=block.attn.num_heads,
                norm_1=block.ln_1,
                qkv=linear(block.attn.in_proj_weight, block.attn.in_proj_bias),
                out=linear(block.attn.out_proj.weight, block.attn.out_proj.bias),
                scale_1=block.ls_1,
                norm_2=block.ln_2,
                up=linear(block.mlp.c_fc.weight, block.mlp.c_fc.bias),
                activation=block.mlp.gelu,
                down=linear(block.mlp.c_proj.weight, block.mlp.c_proj.bias),
                scale_2=block.ls_2,
            )
            for block in blocks
        ]

    def __call__(self, x: Tensor, visible: Tensor | None) -> Tensor:
        """Run all blocks.

        Args:
            x: fp32 [P, l, d].
            visible: Boolean, broadcastable to [P, heads, l, l]: whether a token (third axis) may
                look at another (fourth); ``None`` where all see all.

        Returns:
            fp32 [P, l, d].
        """
        tokens = x.reshape(-1, x.shape[-1])
        for block in self._blocks:
            tokens = block(tokens, len(x), visible)
        return tokens.view(x.shape)

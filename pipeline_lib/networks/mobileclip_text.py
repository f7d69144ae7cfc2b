"""MobileCLIP's text tower: attention between two blocks of convolution, "MCt" in the paper."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline_lib.networks.mobileclip_blocks import RepMixerBlock
from pipeline_lib.networks.mobileclip_layers import Gelu

_HEAD_WIDTH = 64

Layer = Literal["repmixer", "attention"]


@dataclass(frozen=True)
class TextShape:
    """Sizes of a text tower.

    Attributes:
        layers: What each layer mixes tokens by.
        width: Of a token.
        hidden: Inside a layer's mixing of channels.
        kernel: Tokens that a convolution spans.
        vocabulary: Number of tokens.
        context_length: Most tokens of a text.
        dim: Length of a feature.
    """

    layers: tuple[Layer, ...] = ("repmixer", *(("attention",) * 4), "repmixer")
    width: int = 512
    hidden: int = 2048
    kernel: int = 11
    vocabulary: int = 49408
    context_length: int = 77
    dim: int = 512


class TextEncoder(nn.Module):
    """Token ids to features, in two halves: :meth:`embed`, and :meth:`encode` behind it."""

    def __init__(self, shape: TextShape) -> None:
        super().__init__()
        self.shape = shape
        deviation = shape.width**-0.5
        self.embedding_layer = nn.Embedding(shape.vocabulary, shape.width)
        nn.init.normal_(self.embedding_layer.weight, std=deviation)
        self.positional_embedding = _Positions(shape)
        self.transformer = nn.ModuleList(_layer(kind, shape) for kind in shape.layers)
        self.final_layer_norm = nn.LayerNorm(shape.width)
        self.projection_layer = nn.Parameter(torch.randn(shape.width, shape.dim) * deviation)

    def forward(self, ids: Tensor) -> Tensor:
        """Features [B, dim] of token ids [B, L], read at the largest id, which ends a text."""
        return self.encode(self.embed(ids), ids.argmax(dim=-1))

    def embed(self, ids: Tensor) -> Tensor:
        """Token embeddings [B, L, width] without positions."""
        embeddings: Tensor = self.embedding_layer(ids)
        return embeddings

    def encode(self, embeddings: Tensor, eot: Tensor) -> Tensor:
        """Features [B, dim] of embeddings [B, L, width], each read at its ``eot``, int64 [B].

        All tokens see each other, so padding belongs to a text.
        """
        x = embeddings + self.positional_embedding(embeddings.shape[1])
        for layer in self.transformer:
            x = layer(x)
        # The norm works on each token by itself, so only the token that is read needs it.
        read = self.final_layer_norm(x[torch.arange(len(x), device=x.device), eot])
        features: Tensor = read @ self.projection_layer
        return features


class _Positions(nn.Module):
    def __init__(self, shape: TextShape) -> None:
        super().__init__()
        values = torch.randn(1, 1, shape.context_length, shape.width) * shape.width**-0.5
        self.pos_embed = nn.ParameterDict({"pos_embed": values})

    def forward(self, length: int) -> Tensor:
        positions: Tensor = self.pos_embed["pos_embed"]
        if length != positions.shape[2]:
            size = (length, positions.shape[3])
            positions = F.interpolate(positions, size, mode="bilinear")
        return positions[0]


def _layer(kind: Layer, shape: TextShape) -> nn.Module:
    if kind == "attention":
        return _AttentionLayer(shape.width, shape.hidden)
    return _ConvLayer(shape)


class _ConvLayer(RepMixerBlock):
    """A line of tokens as a picture of one row."""

    def __init__(self, shape: TextShape) -> None:
        kernel = (1, shape.kernel)
        super().__init__(shape.width, shape.hidden, kernel, kernel, scale=False)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2).unsqueeze(2)).squeeze(2).transpose(1, 2)


class _AttentionLayer(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.pre_norm_mha = nn.Sequential(nn.LayerNorm(width), _Attention(width))
        # Dropout does nothing in eval mode, but the published names count it.
        self.pre_norm_ffn = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, hidden),
            Gelu(),
            nn.Identity(),
            nn.Linear(hidden, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pre_norm_mha(x)
        out: Tensor = x + self.pre_norm_ffn(x)
        return out


class _Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.qkv_proj(x).unflatten(-1, (3, -1, _HEAD_WIDTH)).transpose(1, 3)
        mixed = F.scaled_dot_product_attention(*parts.unbind(2)).transpose(1, 2).flatten(2)
        out: Tensor = self.out_proj(mixed)
        return out

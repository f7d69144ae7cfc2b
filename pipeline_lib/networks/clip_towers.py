"""CLIP's two transformers from blocks whose parts can be used apart.

Tensors have the names of OpenAI's checkpoints (https://github.com/openai/CLIP).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline_lib.networks.lora_attention import LoraAttention
from pipeline_lib.networks.onednn_linear import Linear, activated, applies, linear

# Of OpenAI's approximation of GELU.
_QUICK = 1.702


class QuickGelu(nn.Module):
    """OpenAI's approximation of GELU."""

    def forward(self, x: Tensor) -> Tensor:
        """``x * sigmoid(1.702 x)``."""
        return x * torch.sigmoid(_QUICK * x)


class Mlp(nn.Module):
    """Two linear layers with an activation between them.

    Args:
        width: d.
        hidden: Width between the layers.
        quick_gelu: OpenAI's approximation of GELU.
    """

    def __init__(self, width: int, hidden: int, quick_gelu: bool) -> None:
        super().__init__()
        self.c_fc = Linear(width, hidden)
        self.gelu = QuickGelu() if quick_gelu else nn.GELU()
        self.c_proj = Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [B, n, d] to [B, n, d]."""
        mapped: Tensor = self.c_proj(self.gelu(self.c_fc(x)))
        return mapped

    def add_to(self, x: Tensor, norm: nn.LayerNorm) -> Tensor:
        """``x + self(norm(x))`` where oneDNN applies, without a gradient."""
        # OpenAI's GELU of y is swish(1.702 y) / 1.702, so with scaled norm and biases the product
        # applies it in passing.
        quick = isinstance(self.gelu, QuickGelu)
        scale = _QUICK if quick else 1.0
        y = F.layer_norm(x, norm.normalized_shape, scale * norm.weight, scale * norm.bias, norm.eps)
        y = activated(y, self.c_fc.weight, scale * self.c_fc.bias, "swish" if quick else "gelu")
        y = linear(y, self.c_proj.weight, scale * self.c_proj.bias)
        return torch.add(x, y, alpha=1 / scale)


class ResidualBlock(nn.Module):
    """A pre-norm transformer block.

    Args:
        width: d.
        heads: Of the attention.
        hidden: Width inside the MLP.
        quick_gelu: OpenAI's approximation of GELU.
        rank: Of the low-rank addition to the attention; 0 has none.
    """

    def __init__(self, width: int, heads: int, hidden: int, quick_gelu: bool, rank: int) -> None:
        super().__init__()
        self.attn = LoraAttention(width, heads, rank)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = Mlp(width, hidden, quick_gelu)
        self.ln_2 = nn.LayerNorm(width)

    def project(self, x: Tensor, queries: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """See :meth:`LoraAttention.project`; of tokens [B, n, d] as they come."""
        return self.attn.project(self.ln_1(x), queries)

    def feed(self, x: Tensor) -> Tensor:
        """The second half of the block: tokens [B, n, d] with the MLP's addition."""
        if torch.is_grad_enabled() or not applies(x):
            fed: Tensor = x + self.mlp(self.ln_2(x))
            return fed
        return self.mlp.add_to(x, self.ln_2)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """Tokens [B, n, d] after the block; ``bias`` as in :class:`LoraAttention`."""
        return self.feed(x + self.attn(*self.project(x), bias))


class Transformer(nn.Module):
    """Blocks under the name that OpenAI's checkpoints give them.

    Args:
        blocks: In their order.
    """

    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(blocks)

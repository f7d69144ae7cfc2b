"""A VideoMamba that sees a part of its tokens and says what a teacher makes of them.

Masked pretraining of https://arxiv.org/abs/2403.06977 after https://arxiv.org/abs/2303.16058:
there is no decoder of pixels, only one projection for each layer that is compared. Tensors have
the names of https://github.com/OpenGVLab/VideoMamba.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline_lib.networks.clip_layers import last_layers
from pipeline_lib.networks.videomamba import VideoMambaTrunk
from pipeline_lib.networks.videomamba_block import RMSNorm, State, wide
from pipeline_lib.networks.videomamba_init import initialise
from pipeline_lib.networks.videomamba_shape import VideoMambaShape

# Of the slowest wave in the table of positions.
_LONGEST = 10000.0


class Projection(nn.Module):
    """From a student's token to a teacher's: linear, norm, length 1.

    Args:
        width: C of the student.
        teacher_dim: D of the teacher.
    """

    def __init__(self, width: int, teacher_dim: int) -> None:
        super().__init__()
        self.head = nn.Linear(width, teacher_dim)
        self.norm = nn.LayerNorm(teacher_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [..., C] to [..., D], in fp32 or wider."""
        return F.normalize(wide(self.norm(self.head(x))), dim=-1)


class MaskedVideoMamba(VideoMambaTrunk):
    """The student of masked pretraining.

    Random weights are drawn from torch's global stream.

    Args:
        shape: The sizes.
        teacher_dim: D of the teacher's tokens.
        aligned_layers: K, blocks that are compared.
        layer_interval: Blocks from one of them to the next.
        alignment: ``correct`` compares each such block's output behind the norm. ``reference``
            compares, for the last block, what went into it, without the norm: as in the published
            code, where neither the last block nor, for K = 1, the norm learns anything.
        drop_path: Chance that a sample skips the last block; it grows with depth.
        init: ``reference`` or ``mamba-dt``, see :func:`videomamba_init.initialise`.
        position_std: Likewise.
        scan: What runs the recurrence, as ``runtime.scan`` names it.

    Raises:
        ConfigError: There are fewer blocks than are to be compared.
    """

    def __init__(
        self,
        shape: VideoMambaShape,
        teacher_dim: int,
        *,
        aligned_layers: int = 1,
        layer_interval: int = 1,
        alignment: str = "correct",
        drop_path: float = 0.0,
        init: str = "mamba-dt",
        position_std: float | None = None,
        scan: str = "auto",
    ) -> None:
        super().__init__(shape, drop_path=drop_path, scan=scan)
        self._aligned = last_layers(shape.depth, aligned_layers, layer_interval, "the student")
        self._as_published = alignment == "reference"
        self.norm = RMSNorm(shape.embed_dim)
        self.clip_decoder = nn.ModuleList(
            Projection(shape.embed_dim, teacher_dim) for _ in self._aligned
        )
        # Fixed, and no part of a published checkpoint.
        self.register_buffer(
            "clip_pos_embed", sine_table(shape.tokens, shape.embed_dim), persistent=False
        )
        initialise(self, init, position_std)
        if self._as_published:
            self._rest()

    def _rest(self) -> None:
        """Leave alone what has no gradient, so that weight decay does not shrink it."""
        self.layers[-1].requires_grad_(False)
        if len(self._aligned) == 1:
            self.norm.requires_grad_(False)

    def forward(self, clip: Tensor, mask: Tensor) -> Tensor:
        """What the teacher's tokens should be.

        Args:
            clip: [B, 3, T, H, W], normalised.
            mask: bool [B, L], true where hidden; the same number in every clip.

        Returns:
            [K, B, visible, D] of length 1, layers in ascending order, tokens in order.
        """
        table = cast(Tensor, self.clip_pos_embed).expand(len(clip), -1, -1)
        places = visible_tokens(table, mask)
        tokens = visible_tokens(self.embed(clip), mask)
        outputs = [
            decoder(output + places)
            for decoder, output in zip(self.clip_decoder, self._outputs(tokens), strict=True)
        ]
        return torch.stack(outputs)

    def _outputs(self, tokens: Tensor) -> list[Tensor]:
        """What is compared of each aligned layer, [B, visible, C] in fp32 or wider."""
        last = self.shape.depth - 1
        # What a block adds, and what is dropped of it, stands in the next one's residual.
        behind = {min(layer + 1, last) for layer in self._aligned}
        states = dict(zip(sorted(behind), self.run(tokens, behind), strict=True))
        outputs = [self.norm(states[layer + 1].residual) for layer in self._aligned[:-1]]
        return [*outputs, self._last(states[last])]

    def _last(self, state: State) -> Tensor:
        if self._as_published:
            return state.residual
        # Samples are left out along the second axis.
        dropped = self.drop_path(state.hidden.transpose(0, 1)).transpose(0, 1)
        normed: Tensor = self.norm(state.residual + wide(dropped))
        return normed


def visible_tokens(tokens: Tensor, mask: Tensor) -> Tensor:
    """The tokens that are not hidden, in order.

    Args:
        tokens: [..., B, L, D].
        mask: bool [B, L], true where hidden; the same number in every clip.

    Returns:
        [..., B, visible, D].
    """
    rows = (~mask).nonzero()[:, 1].view(len(mask), -1)
    index = rows[..., None].expand(*tokens.shape[:-2], -1, tokens.shape[-1])
    return tokens.gather(-2, index)


def sine_table(length: int, width: int) -> Tensor:
    """Sines (even columns) and cosines (odd ones) of positions, fp32 [1, length, width].

    After https://arxiv.org/abs/1706.03762.
    """
    column = torch.arange(width, dtype=torch.float64)
    frequency = _LONGEST ** (-2 * (column // 2) / width)
    angles = torch.arange(length, dtype=torch.float64)[:, None] * frequency
    table = torch.where(column % 2 == 0, angles.sin(), angles.cos())
    return table.float()[None]

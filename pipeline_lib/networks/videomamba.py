"""VideoMamba: a state space model for clips.

Li et al., "VideoMamba: State Space Model for Efficient Video Understanding",
https://arxiv.org/abs/2403.06977, under the tensor names of
https://github.com/OpenGVLab/VideoMamba.
"""

from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pipeline_lib.errors import ConfigError
from pipeline_lib.networks.videomamba_block import Block, DropPath, RMSNorm, State, wide
from pipeline_lib.networks.videomamba_init import initialise
from pipeline_lib.networks.videomamba_shape import SIZES, VideoMambaShape, resolve_shape

__all__ = ["SIZES", "State", "VideoMamba", "VideoMambaShape", "VideoMambaTrunk", "resolve_shape"]


class VideoMambaTrunk(nn.Module):
    """From a clip to the states of blocks: what classifying and masked pretraining share.

    Args:
        shape: The sizes.
        drop_path: Chance that a sample skips the last block; it grows with depth.
        scan: What runs the recurrence, as ``runtime.scan`` names it.
    """

    def __init__(
        self, shape: VideoMambaShape, *, drop_path: float = 0.0, scan: str = "auto"
    ) -> None:
        super().__init__()
        self.shape = shape
        width = shape.embed_dim
        kernel = (shape.tubelet, shape.patch_size, shape.patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + shape.patches, width))
        if shape.temporal:
            self.temporal_pos_embedding = nn.Parameter(torch.zeros(1, shape.steps, width))
        self.patch_embed = _PatchEmbedding(width, kernel)
        # A block drops the output of the one before it; the last one's is dropped behind it.
        rates = [0.0, *np.linspace(0, drop_path, shape.depth).tolist()]
        self.layers = nn.ModuleList(Block(width, rate, scan) for rate in rates[:-1])
        self.drop_path = DropPath(drop_path)
        self._recompute = False

    def set_grad_checkpointing(self, on: bool = True) -> None:
        """Compute each block's activations again for its gradient instead of keeping them."""
        self._recompute = on

    def embed(self, clip: Tensor) -> Tensor:
        """Tokens with their positions: the class token, then frame by frame, row by row.

        Args:
            clip: [B, 3, T, H, W], normalised.

        Returns:
            [B, L, C].

        Raises:
            ConfigError: The clip has other sizes than the network.
        """
        self._check(clip)
        patches = self.patch_embed(clip)
        positions = self.pos_embed[:, None, 1:]
        if self.shape.temporal:
            positions = positions + self.temporal_pos_embedding[:, :, None]
        first = (self.cls_token + self.pos_embed[:, :1]).expand(len(clip), -1, -1)
        tokens = (patches + positions).flatten(1, 2)
        return torch.cat([first.to(tokens.dtype), tokens], dim=1)

    def run(self, tokens: Tensor, keep: Collection[int], outputs: int | None = None) -> list[State]:
        """Mix tokens by all blocks.

        Args:
            tokens: [B, L, C], of any number.
            keep: Blocks, from 0, whose states are wanted.
            outputs: How many of the first tokens of the last block are wanted; ``None`` for all.

        Returns:
            Of each block of ``keep``, in order of depth, its :class:`State`: [B, L, C] each. The
            block's output is their sum.
        """
        hidden, residual, kept = tokens.transpose(0, 1).contiguous(), None, []
        for index, block in enumerate(self.layers):
            wanted = outputs if index == len(self.layers) - 1 else None
            if self._recompute and torch.is_grad_enabled():
                hidden, residual = checkpoint(block, hidden, residual, wanted, use_reentrant=False)
            else:
                hidden, residual = block(hidden, residual, wanted)
            if index in keep:
                kept.append(State(hidden.transpose(0, 1), residual.transpose(0, 1)))
        return kept

    def _check(self, clip: Tensor) -> None:
        shape = self.shape
        wanted = (3, shape.frames, shape.image_size, shape.image_size)
        if tuple(clip.shape[1:]) != wanted:
            raise ConfigError(
                f"The network takes clips of {list(wanted)} (colours, frames, height, width), "
                f"not {list(clip.shape[1:])}.",
                hint="Frames and image_size have to be those that the network was made for.",
            )


class VideoMamba(VideoMambaTrunk):
    """VideoMamba for classes or values; its feature is the class token behind the last norm.

    Random weights are drawn from torch's global stream.

    Args:
        shape: The sizes.
        classes: Outputs of the last layer.
        drop_path: Chance that a sample skips the last block; it grows with depth.
        head_dropout: Before the last layer.
        init: ``reference`` or ``mamba-dt``, see :func:`videomamba_init.initialise`.
        position_std: Likewise.
        scan: What runs the recurrence, as ``runtime.scan`` names it.
    """

    def __init__(
        self,
        shape: VideoMambaShape,
        classes: int,
        *,
        drop_path: float = 0.0,
        head_dropout: float = 0.0,
        init: str = "mamba-dt",
        position_std: float | None = None,
        scan: str = "auto",
    ) -> None:
        super().__init__(shape, drop_path=drop_path, scan=scan)
        self.norm_f = RMSNorm(shape.embed_dim)
        self.head_drop = nn.Dropout(head_dropout)
        self.head = nn.Linear(shape.embed_dim, classes)
        initialise(self, init, position_std)

    def forward(self, clip: Tensor) -> Tensor:
        """Outputs [B, classes] of normalised clips [B, 3, T, H, W]."""
        features = self.head_drop(self.features(clip))
        # In half precision outputs would tie, and values be coarse.
        with torch.autocast(clip.device.type, enabled=False):
            out: Tensor = self.head(features)
        return out

    def features(self, clip: Tensor) -> Tensor:
        """Features [B, C], fp32, of normalised clips [B, 3, T, H, W]."""
        (last,) = self.run(self.embed(clip), {len(self.layers) - 1}, outputs=1)
        hidden, residual = last.hidden.transpose(0, 1), last.residual.transpose(0, 1)
        out: Tensor = self.norm_f(residual + wide(self.drop_path(hidden)))[0]
        return out


class _PatchEmbedding(nn.Module):
    def __init__(self, width: int, kernel: tuple[int, int, int]) -> None:
        super().__init__()
        self.proj = nn.Conv3d(3, width, kernel, stride=kernel)

    def forward(self, clip: Tensor) -> Tensor:
        """Patches [B, T', P, C]."""
        out: Tensor = self.proj(clip).flatten(3).permute(0, 2, 3, 1)
        return out

"""Tokens of chosen blocks of a CLIP's image tower, as a teacher of another network.

After the masked pretraining of VideoMamba (https://github.com/OpenGVLab/VideoMamba): tokens are
projected as CLIP projects its class token, but without the norm before the projection.
"""

from dataclasses import replace
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline_lib.errors import ConfigError
from pipeline_lib.networks.clip_shape import ClipShape
from pipeline_lib.networks.clip_towers import ResidualBlock
from pipeline_lib.networks.merge_schedule import PRESETS
from pipeline_lib.networks.merge_tower import MergeTower


class Looked(NamedTuple):
    """What a tower makes of M frames.

    Attributes:
        tokens: [K, M, 1 + P, D], of the chosen blocks in ascending order, projected.
        attention: [M, P], of the last block's class token to the patches, mean over heads.
    """

    tokens: Tensor
    attention: Tensor


def last_layers(depth: int, count: int, interval: int, whose: str) -> tuple[int, ...]:
    """The blocks that are compared: the last one, and others at equal distances before it.

    Args:
        depth: Blocks there are.
        count: K.
        interval: Blocks from one of them to the next.
        whose: Blocks they are, for the message.

    Returns:
        Numbers from 0, ascending.

    Raises:
        ConfigError: There are too few blocks.
    """
    first = depth - 1 - (count - 1) * interval
    if first < 0:
        raise ConfigError(
            f"train.videomamba.pretrain.aligned_layers = {count} with layer_interval = {interval} "
            f"reaches over {1 + (count - 1) * interval} blocks, and {whose} has {depth}.",
            hint="Lower one of the two.",
        )
    return tuple(range(first, depth, interval))


class ClipLayers(nn.Module):
    """The image tower, nothing merged; tensors have OpenAI's names without ``visual.``.

    Args:
        shape: Of the CLIP.
        grid: Patches along a side of its input; another number than the CLIP's own stretches its
            positions when they are loaded.
        layers: Blocks, counted from 0, ascending.
    """

    def __init__(self, shape: ClipShape, grid: int, layers: tuple[int, ...]) -> None:
        super().__init__()
        self.size, self.layers, self._own_grid = grid * shape.patch_size, layers, shape.grid
        stretched = replace(shape, image_size=self.size)
        self.tower = MergeTower(stretched, PRESETS["none"].schedule, frames=1, rank=0)

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take the tensors of a CLIP of the shape, positions stretched to the grid.

        Args:
            tensors: As :func:`~pipeline_lib.networks.clip_shape.clip_tensors` gives them.
        """
        own = {
            name.removeprefix("visual."): tensor.float()
            for name, tensor in tensors.items()
            if name.startswith("visual.")
        }
        own["positional_embedding"] = self._positions(own["positional_embedding"])
        self.tower.load_state_dict(own)

    def _positions(self, table: Tensor) -> Tensor:
        grid = self.size // self.tower.conv1.kernel_size[0]
        if grid == self._own_grid:
            return table
        square = table[1:].T.unflatten(1, (self._own_grid, self._own_grid)).unsqueeze(0)
        stretched = F.interpolate(square, (grid, grid), mode="bicubic", align_corners=False)
        return torch.cat([table[:1], stretched[0].flatten(1).T])

    def forward(self, pixels: Tensor) -> Looked:
        """Look at frames [M, 3, S, S]."""
        x, tokens = self.tower.embed(pixels).tokens, []
        blocks = [cast(ResidualBlock, block) for block in self.tower.transformer.resblocks]
        q = k = x
        for number, block in enumerate(blocks):
            q, k, v = block.project(x)
            x = block.feed(x + block.attn(q, k, v))
            if number in self.layers:
                tokens.append(x @ self.tower.proj)
        scores = q[:, :, :1] @ k.transpose(2, 3) / q.shape[-1] ** 0.5
        attention = scores.float().softmax(dim=-1).mean(dim=1)[:, 0, 1:]
        return Looked(torch.stack(tokens), attention)

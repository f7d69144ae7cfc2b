"""Positions and patches of one VideoMamba, made to fit another."""

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline_lib.errors import WeightsError
from pipeline_lib.networks.videomamba_block import wide
from pipeline_lib.networks.videomamba_shape import VideoMambaShape

POSITIONS = "pos_embed"
TEMPORAL = "temporal_pos_embedding"
PATCHES = "patch_embed.proj.weight"
Inflation = Literal["center", "repeat"]


def interpolate_positions(
    tensors: Mapping[str, Tensor], shape: VideoMambaShape
) -> dict[str, Tensor]:
    """Tensors whose positions are those of another clip.

    Positions in a frame are interpolated bicubically, those of frames linearly, as the published
    code does; what they are now, the tensors themselves say. Equal sizes leave them untouched.

    Args:
        tensors: By their published names; those without positions pass through.
        shape: What they are to fit.

    Raises:
        WeightsError: The positions are not those of a square grid behind a class token, or have
            another width.
    """
    adapted = dict(tensors)
    if POSITIONS in tensors:
        adapted[POSITIONS] = _in_frame(tensors[POSITIONS], shape)
    if TEMPORAL in tensors and shape.temporal:
        adapted[TEMPORAL] = _of_frames(tensors[TEMPORAL], shape)
    return adapted


def inflate(weight: Tensor, tubelet: int, how: Inflation = "center") -> Tensor:
    """Patches of pictures as patches of clips.

    Args:
        weight: [C, 3, p, p].
        tubelet: Frames k that a patch is to cover.
        how: ``center`` puts them at frame ``k // 2`` and zeros elsewhere; ``repeat`` spreads them
            evenly, so that k equal frames give what the picture gave.

    Returns:
        [C, 3, k, p, p].
    """
    if how == "repeat":
        return weight[:, :, None].repeat(1, 1, tubelet, 1, 1) / tubelet
    inflated = weight.new_zeros(*weight.shape[:2], tubelet, *weight.shape[2:])
    inflated[:, :, tubelet // 2] = weight
    return inflated


def grid_side(positions: Tensor) -> int:
    """Patches along a side, of positions [1, 1 + side^2, C].

    Raises:
        WeightsError: The grid is not square.
    """
    patches = positions.shape[1] - 1 if positions.ndim == 3 else 0
    side = round(max(patches, 0) ** 0.5)
    if not side or side**2 != patches:
        raise WeightsError(
            f"{POSITIONS} of shape {list(positions.shape)} is not a class token and a square grid.",
            hint="Check that the checkpoint is one of VideoMamba.",
        )
    return side


def _in_frame(positions: Tensor, shape: VideoMambaShape) -> Tensor:
    side = grid_side(positions)
    _require_width(POSITIONS, positions, shape)
    if side == shape.grid:
        return positions
    first, grid = positions[:, :1], positions[:, 1:]
    picture = wide(grid).unflatten(1, (side, side)).permute(0, 3, 1, 2)
    scaled = F.interpolate(picture, size=(shape.grid, shape.grid), mode="bicubic")
    return torch.cat([first, scaled.flatten(2).mT.to(positions.dtype)], dim=1)


def _of_frames(positions: Tensor, shape: VideoMambaShape) -> Tensor:
    _require_width(TEMPORAL, positions, shape)
    if positions.shape[1] == shape.steps:
        return positions
    scaled = F.interpolate(wide(positions).mT, size=shape.steps, mode="linear")
    return scaled.mT.to(positions.dtype).contiguous()


def _require_width(name: str, positions: Tensor, shape: VideoMambaShape) -> None:
    wanted = shape.embed_dim
    if positions.ndim != 3 or positions.shape[0] != 1 or positions.shape[2] != wanted:
        raise WeightsError(
            f"{name} has shape {list(positions.shape)}; it needs [1, positions, {wanted}].",
            hint="Interpolating changes numbers of positions, not the width of a token.",
        )

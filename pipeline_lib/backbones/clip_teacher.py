"""A frozen CLIP as the teacher of a video network, frame by frame."""

import logging
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline_lib.backbones.base import Placement, WeightsSource
from pipeline_lib.backbones.open_clip_weights import LoadedClip, load_open_clip
from pipeline_lib.backbones.transformers_clip import is_transformers_clip, load_transformers_clip
from pipeline_lib.config import ClipConfig
from pipeline_lib.networks.clip_layers import ClipLayers, Looked, last_layers
from pipeline_lib.networks.clip_shape import ClipShape, clip_shape, clip_tensors
from pipeline_lib.networks.videomamba_shape import VideoMambaShape
from pipeline_lib.runtime.device import autocast, choose_precision, precision_name

logger = logging.getLogger(__name__)

_PARAMETER = "train.videomamba.pretrain.teacher"


class Targets(NamedTuple):
    """What a student has to reach on B clips of T frames, T' = T / tubelet, P patches a frame.

    Attributes:
        tokens: fp32 [K, B, 1 + T' * P, D] of length 1: the mean over frames of the class tokens,
            then the patches frame by frame.
        attention: fp32 [B * T', P], of the last block's class token to the patches.
    """

    tokens: Tensor
    attention: Tensor


class ClipTeacher:
    """The image tower of a CLIP, looking at all patches of a clip's frames.

    Of the frames that one patch of the student covers, it sees the middle one (of an even number,
    the first of the second half). Where several of its patches lie in one of the student's, that
    one's token is the mean of theirs, and its attention their sum.

    Attributes:
        source: Where its weights came from.
        dim: D, of a token.
        size: Side of a frame that it sees, in pixels.
        device: Where it runs.
        precision: Of its products.
    """

    def __init__(
        self,
        network: ClipLayers,
        source: WeightsSource,
        shape: ClipShape,
        tubelet: int,
        patches: int,
        placement: Placement,
    ) -> None:
        self.source, self.dim, self.size = source, shape.embed_dim, network.size
        self._patch = shape.patch_size
        self.device = placement.device
        self._dtype = choose_precision(placement.precision, placement.device)
        self.precision = precision_name(self._dtype)
        self._tubelet, self._patches, self._batch = tubelet, patches, placement.batch_size
        self._network = network.eval().requires_grad_(False).to(self.device)

    def targets(self, clip: Tensor) -> Targets:
        """Look at clips, without gradient.

        Args:
            clip: As the student sees it, float [B, 3, T, S, S], with the student's mean and
                deviation (as in the published pretraining). Scaled where another size is needed.
        """
        seen = clip[:, :, self._tubelet // 2 :: self._tubelet].transpose(1, 2)
        frames = self._scaled(seen.flatten(0, 1).to(self.device))
        with torch.no_grad(), autocast(self.device, self._dtype):
            looks = [self._pooled(self._network(part)) for part in frames.split(self._batch)]
        tokens = torch.cat([look.tokens for look in looks], dim=1).float()
        tokens = tokens.unflatten(1, seen.shape[:2])
        first, patches = tokens[..., :1, :].mean(dim=2), tokens[..., 1:, :].flatten(2, 3)
        joined = F.normalize(torch.cat([first, patches], dim=2), dim=-1)
        return Targets(joined, torch.cat([look.attention for look in looks]).float())

    def _pooled(self, look: Looked) -> Looked:
        """On the student's patches."""
        if self._patches == 1:
            return look
        grid, n = self.size // self._patch, self._patches
        blocks = (grid // n, n, grid // n, n)
        tokens = look.tokens[..., 1:, :].unflatten(-2, blocks).mean(dim=(-4, -2)).flatten(-3, -2)
        attention = look.attention.unflatten(-1, blocks).sum(dim=(-3, -1)).flatten(-2)
        return Looked(torch.cat([look.tokens[..., :1, :], tokens], dim=-2), attention)

    def _scaled(self, frames: Tensor) -> Tensor:
        if frames.shape[-1] == self.size:
            return frames
        size = (self.size, self.size)
        return F.interpolate(frames.float(), size, mode="bicubic", align_corners=False)


def load_teacher(
    section: ClipConfig,
    placement: Placement,
    shape: VideoMambaShape,
    aligned_layers: int,
    layer_interval: int,
    patches: int = 1,
) -> ClipTeacher:
    """Load the CLIP that ``section`` names as the teacher of a student.

    Args:
        section: A CLIP with a plain vision transformer.
        placement: Where and how it runs; ``batch_size`` frames at a time.
        shape: Of the student. Where the teacher has another number of patches along a side, its
            positions are stretched, and it is said.
        aligned_layers: K, blocks that are compared.
        layer_interval: Blocks from one of them to the next.
        patches: Of the teacher along a side of one of the student's.

    Raises:
        ConfigError: The CLIP does not exist, is no plain ViT, or has too few blocks.
        WeightsError: Its weights are missing or do not fit.
    """
    loaded = _load(section)
    clip = clip_shape(loaded.model, _PARAMETER)
    layers = last_layers(clip.vision_layers, aligned_layers, layer_interval, "the teacher")
    grid = shape.grid * patches
    network = ClipLayers(clip, grid, layers)
    network.load(clip_tensors(loaded.model))
    if grid != clip.grid:
        logger.info(
            "the teacher's %d x %d positions are stretched to %d x %d patches",
            clip.grid, clip.grid, grid, grid,
        )  # fmt: skip
    return ClipTeacher(network, loaded.source, clip, shape.tubelet, patches, placement)


def _load(section: ClipConfig) -> LoadedClip:
    load = load_transformers_clip if is_transformers_clip(section.model) else load_open_clip
    return load(section)

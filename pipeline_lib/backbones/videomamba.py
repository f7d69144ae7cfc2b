"""VideoMamba, trained by this pipeline or published: one feature a clip."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from pipeline_lib.backbones.base import Backbone, Placement, WeightsSource
from pipeline_lib.backbones.videomamba_checkpoint import read_videomamba
from pipeline_lib.backbones.videomamba_folder import network_of, preprocessing
from pipeline_lib.backbones.weight_files import UNTRAINED, PublishedFile, find_weights, load_weights
from pipeline_lib.config import VideoMambaBackboneConfig, VideoMambaModelConfig
from pipeline_lib.errors import ConfigError
from pipeline_lib.networks.videomamba import VideoMamba, resolve_shape
from pipeline_lib.runtime.device import autocast

# Raised whenever this file or the network changes the features for the same frames and weights.
VERSION = 1


def _published(name: str, megabytes: int | None = None, sha256: str | None = None) -> PublishedFile:
    address = f"https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/{name}.pth"
    return PublishedFile(address, "Apache-2.0", sha256, megabytes)


# Trained for the 400 classes of Kinetics on 16 frames, but for the masked one: on 8.
PUBLISHED = {
    "k400-tiny": _published("videomamba_t16_k400_f16_res224"),
    "k400-small": _published(
        "videomamba_s16_k400_f16_res224",
        102,
        "311633e1a590744b1e5ac6bb50fe5eab1919b201e47bb6ed2d9e1e06813d64ac",
    ),
    "k400-middle": _published(
        "videomamba_m16_k400_f16_res224",
        296,
        "727c0fc98f0651efdfefb66109d29c9a2373f42ddfc137e8fc2535750dd0b893",
    ),
    "k400-middle-masked": _published(
        "videomamba_m16_k400_mask_ft_f8_res224",
        296,
        "a101883c7ce8794b887469bcbbce7e09c0c6962dfae23d30223f0dd96275272f",
    ),
}
_DEFAULTS = VideoMambaModelConfig()


class VideoMambaBackbone(Backbone):
    """VideoMamba without its classifier; a sample is a clip of as many frames as it takes.

    Of a network for pictures, a sample is one frame.

    Args:
        network: With its weights loaded.
        weights: Where they came from.
        placement: Where and how it runs.
    """

    def __init__(self, network: VideoMamba, weights: WeightsSource, placement: Placement) -> None:
        preprocess = preprocessing(network.shape.image_size)
        super().__init__("VideoMamba class token", VERSION, weights, preprocess, placement)
        self.identity = {**self.identity, "frames": network.shape.frames}
        self.dim = network.shape.embed_dim
        self.frames_per_sample = network.shape.frames
        self.network = network.eval().requires_grad_(False).to(self.device)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Features [B, C] of pixels [B, 3, T, S, S], or [B, 3, S, S] where T is 1."""
        if torch.jit.is_tracing():  # type: ignore[attr-defined]
            raise ConfigError("Its recurrence cannot be converted.")
        clip = pixels if pixels.ndim == 5 else pixels[:, :, None]
        # The weights stay fp32, as the recurrence needs some of them; products are in half.
        with autocast(self.device, self.dtype):
            return self.network.features(clip)


def load_videomamba(config: VideoMambaBackboneConfig, placement: Placement) -> VideoMambaBackbone:
    """Load the VideoMamba that ``config`` names.

    ``config.batch_size`` clips are one forward pass, whatever ``placement`` says for frames.

    Raises:
        ConfigError: Frames or pixels cannot be cut into patches.
        WeightsError: The weights are missing, do not fit, or have no classifier.
    """
    placement = replace(placement, batch_size=config.batch_size)
    if config.weights == UNTRAINED:
        network, source = load_weights(
            partial(_build, config, placement.scan), UNTRAINED, {}, section="", seed=config.seed
        )
        return VideoMambaBackbone(network, source, placement)
    path: str | Path = config.weights
    if config.weights in PUBLISHED:
        path = find_weights(config.weights, PUBLISHED, "extract.videomamba")
    checkpoint = read_videomamba(path)
    network = network_of(
        checkpoint, scan=placement.scan, frames=config.frames, image_size=config.image_size
    )
    source = WeightsSource(config.weights, checkpoint.sha256, trained=True)
    return VideoMambaBackbone(network, source, placement)


def _build(config: VideoMambaBackboneConfig, scan: str) -> VideoMamba:
    model = replace(
        _DEFAULTS,
        size=config.size,
        frames=config.frames or _DEFAULTS.frames,
        image_size=config.image_size or _DEFAULTS.image_size,
    )
    return VideoMamba(resolve_shape(model, "extract.videomamba"), 1, scan=scan)

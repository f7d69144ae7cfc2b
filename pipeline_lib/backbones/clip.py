"""CLIP image towers from open_clip (https://github.com/mlfoundations/open_clip)."""

from typing import Any, Literal

import torch

from pipeline_lib.backbones.base import Backbone, Placement, Preprocess
from pipeline_lib.backbones.open_clip_weights import LoadedClip, load_open_clip
from pipeline_lib.config import ClipConfig
from pipeline_lib.errors import ConfigError
from pipeline_lib.video.scaling import Resize

# Raised whenever this file changes the features it gives for the same frames and weights.
VERSION = 2


class ClipBackbone(Backbone):
    """The image tower of a CLIP; the text tower stays reachable through ``model``.

    Features are projected and not normalised.
    """

    def __init__(self, loaded: LoadedClip, placement: Placement) -> None:
        config = loaded.model.visual.preprocess_cfg
        super().__init__(
            "open_clip image tower",
            VERSION,
            loaded.source,
            Preprocess(_resize(config), tuple(config["mean"]), tuple(config["std"])),
            placement,
        )
        self.model = loaded.model.to(self.device)
        self.tokenizer = loaded.tokenizer
        # Only the image tower is cast: prompts are learned through the text tower in fp32.
        self._visual = self.model.visual.to(self.dtype)
        size = self.resize.size
        blank = torch.zeros(1, 3, size, size, dtype=self.dtype, device=self.device)
        self.dim = self.forward(blank).shape[1]

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Image features [B, D] of pixels [B, 3, H, W]."""
        features: torch.Tensor = self._visual(pixels)
        return features


def _resize(preprocess: dict[str, Any]) -> Resize:
    size = preprocess["size"]
    if isinstance(size, (tuple, list)):
        if len(set(size)) != 1:
            raise ConfigError(f"A CLIP with a non-square input {tuple(size)} is not supported.")
        size = size[0]
    mode = preprocess["resize_mode"]
    if mode not in ("shortest", "squash"):
        raise ConfigError(
            f"A CLIP preprocessed with resize_mode {mode!r} is not supported.",
            hint="Supported: shortest, squash.",
        )
    # open_clip evaluates with bicubic unless bilinear is named; 'random' concerns training only.
    interpolation: Literal["bicubic", "bilinear"] = (
        "bilinear" if preprocess["interpolation"] == "bilinear" else "bicubic"
    )
    return Resize(int(size), mode, interpolation, crop=int(size))


def load_clip(config: ClipConfig, placement: Placement) -> ClipBackbone:
    """Load the CLIP that ``config`` names.

    Raises:
        ConfigError: Architecture, tag or preprocessing unknown or at odds.
        WeightsError: The weights are missing or do not fit.
    """
    return ClipBackbone(load_open_clip(config), placement)

"""CLIP image towers, as open_clip models (https://github.com/mlfoundations/open_clip)."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline_lib.backbones.base import Backbone, Placement
from pipeline_lib.backbones.open_clip_weights import LoadedClip, load_open_clip
from pipeline_lib.backbones.transformers_clip import is_transformers_clip, load_transformers_clip
from pipeline_lib.config import ClipConfig

# Raised whenever this file changes the features it gives for the same frames and weights.
VERSION = 2


class ClipBackbone(Backbone):
    """The image tower of a CLIP; the text tower stays reachable through ``model``.

    Features are projected and not normalised.
    """

    def __init__(self, loaded: LoadedClip, placement: Placement) -> None:
        super().__init__(
            "open_clip image tower", VERSION, loaded.source, loaded.preprocess, placement
        )
        self.model = loaded.model.to(self.device)
        self.tokenizer = loaded.tokenizer
        # Only the image tower is cast: prompts are learned through the text tower in fp32.
        self.model.visual.to(self.dtype)
        size = self.resize.crop or self.resize.size
        blank = torch.zeros(1, 3, size, size, dtype=self.dtype, device=self.device)
        self.dim = self.forward(blank).shape[1]

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Image features [B, D] of pixels [B, 3, H, W]."""
        features: torch.Tensor = self.model.encode_image(pixels, normalize=False)
        return features

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts, in fp32; like images they are projected and not normalised.

        Returns:
            float32 [n, D].
        """
        with torch.inference_mode():
            features = self.model.encode_text(self.tokenizer(list(texts)).to(self.device))
            rows: NDArray[np.float32] = features.float().cpu().numpy()
        return rows


def load_clip(config: ClipConfig, placement: Placement) -> ClipBackbone:
    """Load the CLIP that ``config`` names.

    Raises:
        ConfigError: Architecture, tag or preprocessing unknown or at odds.
        WeightsError: The weights are missing or do not fit.
    """
    load = load_transformers_clip if is_transformers_clip(config.model) else load_open_clip
    return ClipBackbone(load(config), placement)

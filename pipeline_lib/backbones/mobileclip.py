"""MobileCLIP image towers: S0 from this library, the others from open_clip, which lacks S0.

Weights are Apple's; their licence allows research only
(https://github.com/apple/ml-mobileclip).
"""

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from pipeline_lib.backbones.base import Backbone, Placement, Preprocess, WeightsSource
from pipeline_lib.backbones.open_clip_weights import LoadedClip, load_open_clip
from pipeline_lib.backbones.weight_files import (
    UNTRAINED,
    PublishedFile,
    find_weights,
    load_strictly,
    load_weights,
    read_tensors,
)
from pipeline_lib.config import ClipConfig, MobileClipConfig
from pipeline_lib.errors import ConfigError, did_you_mean
from pipeline_lib.fingerprint import sha256_file
from pipeline_lib.networks.mobileclip import (
    MobileClip,
    fuse,
    is_reparameterised,
    reparameterise,
)
from pipeline_lib.runtime.torchvision_ops import import_open_clip
from pipeline_lib.video.scaling import Resize

# Raised whenever this file or the network changes the features for the same frames and weights.
VERSION = 1
SECTION = "extract.mobileclip"
S0 = "MobileCLIP-S0"
PUBLISHED = {
    "apple": PublishedFile(
        "https://huggingface.co/apple/MobileCLIP-S0/resolve/main/mobileclip_s0.pt",
        "Apple Machine Learning Research Model License: research only, no commercial use",
        sha256="809b408eff74f8058843e86a1f92967097d42ba782450e85b8f4867b7f0ca0b7",
        megabytes=216,
    )
}
# Pixels stay in [0, 1], as Apple's own preprocessing leaves them.
S0_PREPROCESS = Preprocess(Resize(256, "shortest", "bilinear", crop=256), (0.0,) * 3, (1.0,) * 3)


class MobileClipBackbone(Backbone):
    """The image tower of a MobileCLIP, its parallel branches fused into single convolutions.

    Features are projected and not normalised. The text tower stays reachable through ``model``.

    Args:
        name: The architecture.
        loaded: Both towers.
        visual: The image tower inside ``loaded.model``.
        placement: Where and how it runs.
    """

    def __init__(
        self, name: str, loaded: LoadedClip, visual: nn.Module, placement: Placement
    ) -> None:
        super().__init__(
            f"{name} image tower, fused", VERSION, loaded.source, loaded.preprocess, placement
        )
        self.model = loaded.model.to(self.device)
        self.tokenizer = loaded.tokenizer
        # Only the image tower is cast: prompts are learned through the text tower in fp32.
        self._visual = visual.to(self.dtype)
        size = self.resize.size
        blank = torch.zeros(1, 3, size, size, dtype=self.dtype, device=self.device)
        self.dim = self.forward(blank).shape[1]

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Image features [B, D] of pixels [B, 3, H, W]."""
        features: torch.Tensor = self._visual(pixels)
        return features


def load_mobileclip(config: MobileClipConfig, placement: Placement) -> MobileClipBackbone:
    """Load the MobileCLIP that ``config`` names, upper or lower case.

    Raises:
        ConfigError: There is no such MobileCLIP.
        WeightsError: The weights are missing or do not fit.
    """
    open_clip = import_open_clip()
    name = _published_name(config.model, open_clip.list_models())
    if name == S0:
        loaded = _load_s0(config, open_clip.get_tokenizer("ViT-B-32"))
        fuse(loaded.model)
        return MobileClipBackbone(name, loaded, loaded.model.image_encoder, placement)
    loaded = _load_other(config, name)
    visual = loaded.model.visual
    visual.trunk = _fused_trunk(visual.trunk)
    return MobileClipBackbone(name, loaded, visual, placement)


def published_preprocess(name: str) -> Preprocess:
    """How open_clip's MobileCLIP called ``name`` was trained to see frames, whatever its weights.

    open_clip itself knows this by the tag of the weights only, and preprocesses like OpenAI where
    they come from a file.
    """
    open_clip = import_open_clip()
    tag = open_clip.list_pretrained_tags_by_model(name)[0]
    published = open_clip.get_pretrained_cfg(name, tag)
    size = open_clip.get_model_config(name)["vision_cfg"]["image_size"]
    resize = Resize(size, published["resize_mode"], published["interpolation"], crop=size)
    return Preprocess(resize, published["mean"], published["std"])


def _published_name(model: str, open_clip_models: list[str]) -> str:
    known = [S0, *(name for name in open_clip_models if name.startswith("MobileCLIP"))]
    by_lower = {name.lower(): name for name in known}
    if model.lower() not in by_lower:
        raise ConfigError(
            f"{SECTION}.model = {model!r}: there is no such MobileCLIP.",
            hint=did_you_mean(model, known),
        )
    return by_lower[model.lower()]


def _load_s0(config: MobileClipConfig, tokenizer: Any) -> LoadedClip:
    if config.weights == UNTRAINED:
        network, source = load_weights(
            MobileClip, UNTRAINED, PUBLISHED, section=SECTION, seed=config.seed
        )
        return LoadedClip(network, tokenizer, source, S0_PREPROCESS)
    path = find_weights(config.weights, PUBLISHED, SECTION)
    tensors = read_tensors(path)
    network = MobileClip()
    if is_reparameterised(tensors):
        reparameterise(network)
    load_strictly(network, tensors, path)
    source = WeightsSource(config.weights, sha256_file(path), trained=True)
    return LoadedClip(network, tokenizer, source, S0_PREPROCESS)


def _load_other(config: MobileClipConfig, name: str) -> LoadedClip:
    loaded = load_open_clip(ClipConfig(model=name, weights=config.weights, seed=config.seed))
    return replace(loaded, preprocess=published_preprocess(name))


def _fused_trunk(trunk: nn.Module) -> nn.Module:
    # Imported late: timm needs the operators that open_clip's import declares.
    from timm.utils.model import reparameterize_model

    with torch.random.fork_rng(devices=[]):  # it draws weights that it then replaces
        fused: nn.Module = reparameterize_model(trunk)
    return fused

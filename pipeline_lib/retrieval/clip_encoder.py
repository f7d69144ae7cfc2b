"""The CLIP that a unified configuration names, and the shape of its image tower."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_lib.backbones.open_clip_weights import LOCAL_DIR, model_config
from pipeline_lib.backbones.transformers_clip import is_transformers_clip
from pipeline_lib.backbones.transformers_folder import CONFIG, fetch_folder
from pipeline_lib.config import ClipConfig
from pipeline_lib.errors import WeightsError

_PREFIXES = (LOCAL_DIR, "hf-hub:", "transformers:")
_DEFAULT_PATCH = 32  # of transformers' CLIPVisionConfig
_DEFAULT_SIZE = 224
_DEFAULT_LAYERS = 12


@dataclass(frozen=True)
class Encoder:
    """The shape of an image tower.

    Attributes:
        image_size: Pixels a side.
        patch_size: Pixels a side.
        layers: Blocks.
    """

    image_size: int
    patch_size: int
    layers: int

    @property
    def tokens(self) -> int:
        """Tokens of a frame, the class token included."""
        return (self.image_size // self.patch_size) ** 2 + 1


@dataclass(frozen=True)
class PublishedClip:
    """One of OpenAI's vision transformers.

    Attributes:
        model: What open_clip calls it.
        file: What its publisher calls the weights.
        encoder: Its image tower.
    """

    model: str
    file: str
    encoder: Encoder


# By the name that the configuration uses.
CLIPS = {
    "ViT-B/32": PublishedClip("ViT-B-32-quickgelu", "ViT-B-32.pt", Encoder(224, 32, 12)),
    "ViT-B/16": PublishedClip("ViT-B-16-quickgelu", "ViT-B-16.pt", Encoder(224, 16, 12)),
    "ViT-L/14": PublishedClip("ViT-L-14-quickgelu", "ViT-L-14.pt", Encoder(224, 14, 24)),
    "ViT-L/14@336px": PublishedClip(
        "ViT-L-14-336-quickgelu", "ViT-L-14-336px.pt", Encoder(336, 14, 24)
    ),
}


def is_known(name: str) -> bool:
    """Whether ``name`` is a published CLIP's, or leads to a model folder or a hub."""
    return name in CLIPS or name.startswith(_PREFIXES)


def clip_of(name: str, folder: str | None) -> ClipConfig:
    """The section of ``extract`` for a CLIP.

    Args:
        name: For which :func:`is_known` holds.
        folder: Where the weights of a published one are; ``None`` downloads them.
    """
    if name not in CLIPS:
        return ClipConfig(model=name)
    published = CLIPS[name]
    weights = "openai" if folder is None else str(Path(folder) / published.file)
    return ClipConfig(model=published.model, weights=weights)


def read_encoder(name: str) -> Encoder:
    """The shape of a CLIP's image tower; no weights are read.

    Args:
        name: For which :func:`is_known` holds.

    Raises:
        WeightsError: The architecture is not at hand, or is no vision transformer's.
    """
    if name in CLIPS:
        return CLIPS[name].encoder
    config = ClipConfig(model=name)
    if is_transformers_clip(config.model):
        facts = _transformers_facts(config)
        return Encoder(
            int(facts.get("image_size", _DEFAULT_SIZE)),
            int(facts.get("patch_size", _DEFAULT_PATCH)),
            int(facts.get("num_hidden_layers", _DEFAULT_LAYERS)),
        )
    facts = model_config(config)["vision_cfg"]
    layers, patch, size = facts.get("layers"), facts.get("patch_size"), facts.get("image_size")
    if not (isinstance(layers, int) and isinstance(patch, int) and isinstance(size, int)):
        raise WeightsError(
            f"{config.model}: its image tower is no vision transformer of open_clip.",
            hint=f"Known: {', '.join(CLIPS)}.",
        )
    return Encoder(size, patch, layers)


def _transformers_facts(config: ClipConfig) -> dict[str, Any]:
    name = config.model
    if name.startswith(LOCAL_DIR):
        folder = Path(name.removeprefix(LOCAL_DIR))
    else:
        remedy = "set base_encoder to 'local-dir:' followed by that folder's path"
        folder = fetch_folder(name.removeprefix("transformers:"), (CONFIG,), remedy)
    try:
        content = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        return dict(content["vision_config"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{folder / CONFIG}: describes no CLIP ({error}).") from None

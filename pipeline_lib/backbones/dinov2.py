"""DINOv2 image networks, the class token of their last layer.

Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision",
https://arxiv.org/abs/2304.07193, run by transformers.
"""

from functools import partial
from pathlib import Path
from typing import Any

import torch

from pipeline_lib.backbones.base import Backbone, Placement, Preprocess, WeightsSource
from pipeline_lib.backbones.transformers_folder import (
    CONFIG,
    SAFETENSORS,
    fetch_folder,
    import_transformers,
    quiet,
    read_config,
)
from pipeline_lib.backbones.weight_files import UNTRAINED, PublishedFile, load_weights
from pipeline_lib.config import DinoV2Config
from pipeline_lib.errors import ConfigError, WeightsError
from pipeline_lib.fingerprint import sha256_file
from pipeline_lib.video.imagenet import IMAGENET_MEAN, IMAGENET_STD
from pipeline_lib.video.scaling import Resize

PUBLISHED = "facebook"
# The hash and the megabytes of each model.safetensors, as its page on the hub states them.
_STATED: dict[str, tuple[str | None, int]] = {
    "small": ("ae1e99fcefd534ed978cdeb8326f08030c96e28b7a81ffcbc98a857c84d14be1", 88),
    "base": ("d73036b56966966d07975d696bde331762f37297e2f095de8cea0040c3aa0841", 346),
    "large": ("399fba97a95f22c36834418bc69373364a99af3a1153da1c0fb31db567c92e23", 1220),
    "giant": (None, 4550),
}
# Raised whenever this file changes the features it gives for the same frames and weights.
VERSION = 1
_SETTING = "extract.dinov2.weights"
# Of ImageNet, as published with the weights.
_PREPROCESS = Preprocess(Resize(256, "shortest", "bicubic", crop=224), IMAGENET_MEAN, IMAGENET_STD)
_ARCHITECTURES = {
    "small": {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6},
    "base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12},
    "large": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16},
    "giant": {"hidden_size": 1536, "num_hidden_layers": 40, "num_attention_heads": 24},
}
_GATED = ("giant",)  # with a SwiGLU in place of the MLP
# Trained at 518 pixels: 37x37 positions, which transformers interpolates to 16x16 for 224.
_COMMON = {
    "image_size": 518,
    "patch_size": 14,
    "mlp_ratio": 4,
    "layerscale_value": 1.0,
}


def published_files(model: str) -> tuple[PublishedFile, ...]:
    """The files of the folder that Facebook published for ``model``."""
    address = f"https://huggingface.co/{_repository(model)}/resolve/main"
    sha256, megabytes = _STATED[model]
    return (
        PublishedFile(f"{address}/{CONFIG}", "Apache-2.0", megabytes=0),
        PublishedFile(f"{address}/{SAFETENSORS}", "Apache-2.0", sha256, megabytes),
    )


class DinoV2Backbone(Backbone):
    """A DINOv2 whose feature is the class token behind the final normalisation.

    Args:
        network: transformers' ``Dinov2Model``.
        weights: Where its weights came from.
        placement: Where and how it runs.
    """

    def __init__(self, network: Any, weights: WeightsSource, placement: Placement) -> None:
        super().__init__("DINOv2 class token", VERSION, weights, _PREPROCESS, placement)
        self.dim = network.config.hidden_size
        self.network = network.to(self.device, self.dtype)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Features [B, D] of pixels [B, 3, H, W]."""
        features: torch.Tensor = self.network(pixel_values=pixels).last_hidden_state[:, 0]
        return features


def load_dinov2(config: DinoV2Config, placement: Placement) -> DinoV2Backbone:
    """Load the DINOv2 that ``config`` names.

    Raises:
        ConfigError: A folder's network has another size than ``model`` says.
        WeightsError: The weights are missing or do not fit.
    """
    if config.weights == UNTRAINED:
        build = partial(_build, config.model)
        network, source = load_weights(
            build, UNTRAINED, {}, section="extract.dinov2", seed=config.seed
        )
        return DinoV2Backbone(network, source, placement)
    folder = _folder(config)
    _check_architecture(folder, config.model)
    network = _read(folder)
    sha256 = sha256_file(folder / SAFETENSORS)
    weights_id = f"{config.model}/{config.weights}"
    return DinoV2Backbone(network, WeightsSource(weights_id, sha256, trained=True), placement)


def _build(model: str) -> Any:
    transformers = import_transformers()
    config = transformers.Dinov2Config(
        **_COMMON, **_ARCHITECTURES[model], use_swiglu_ffn=model in _GATED
    )
    return transformers.Dinov2Model(config)


def _repository(model: str) -> str:
    return f"facebook/dinov2-{model}"


def _folder(config: DinoV2Config) -> Path:
    if config.weights == PUBLISHED:
        names = tuple(file.filename for file in published_files(config.model))
        return fetch_folder(_repository(config.model), names, f"set {_SETTING} to that folder")
    folder = Path(config.weights)
    if not folder.is_dir():
        raise WeightsError(
            f"{_SETTING} = {config.weights!r} is no folder.",
            hint=f"Give {PUBLISHED!r}, {UNTRAINED!r}, or a folder with {CONFIG} and {SAFETENSORS}.",
        )
    if not (folder / SAFETENSORS).is_file():
        raise WeightsError(
            f"{folder}: no {SAFETENSORS}.",
            hint="Save the model with transformers' save_pretrained; pickles are not read.",
        )
    return folder


def _check_architecture(folder: Path, model: str) -> None:
    found = read_config(folder, "dinov2")
    wanted = _ARCHITECTURES[model]
    sizes = {key: found.get(key) for key in wanted}
    if sizes == wanted:
        return
    other = next((name for name, known in _ARCHITECTURES.items() if known == sizes), None)
    described = ", ".join(f"{key} {value}" for key, value in sizes.items())
    raise ConfigError(
        f"{folder / CONFIG} describes another network than model {model!r}: {described}.",
        hint=f"Set extract.dinov2.model: {other}."
        if other
        else f"Supported: {', '.join(_ARCHITECTURES)}.",
    )


def _read(folder: Path) -> Any:
    transformers = import_transformers()
    try:
        with quiet(transformers):
            network, report = transformers.Dinov2Model.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                ignore_mismatched_sizes=True,  # told by the report instead
                output_loading_info=True,
            )
    except Exception as error:  # noqa: BLE001  # a bad file can fail anywhere in the readers
        cause = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise _unfit(folder, cause) from None
    wrong = {kind: sorted(map(str, names)) for kind, names in report.items() if names}
    if wrong:
        kind, names = min(wrong.items())
        raise _unfit(folder, f"{kind.replace('_', ' ')}: {', '.join(names[:3])}")
    return network.float().eval().requires_grad_(False)


def _unfit(folder: Path, cause: str) -> WeightsError:
    return WeightsError(
        f"{folder / SAFETENSORS}: does not fit DINOv2: {cause}.",
        hint="Check that the file is complete and belongs to its config.json.",
    )

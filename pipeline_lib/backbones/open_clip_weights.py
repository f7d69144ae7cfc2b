"""From a ClipConfig to an open_clip model, with the weights' identity checked and recorded."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from pipeline_lib.backbones.base import WeightsSource
from pipeline_lib.backbones.hub import cache_only, download
from pipeline_lib.backbones.weight_files import UNTRAINED, tensor_digest
from pipeline_lib.config import ClipConfig
from pipeline_lib.errors import ConfigError, WeightsError, did_you_mean
from pipeline_lib.fingerprint import sha256_file
from pipeline_lib.runtime.torchvision_ops import import_open_clip

_LOCAL_DIR = "local-dir:"
_HUB = "hf-hub:"
# The names open_clip looks for in a local directory, in its order.
_LOCAL_NAMES = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "model.safetensors",
    "pytorch_model.bin",
)


@dataclass(frozen=True)
class LoadedClip:
    """An open_clip model and where its weights came from.

    Attributes:
        model: In eval mode, frozen, fp32, on the CPU.
        tokenizer: Texts to int64 token ids [n, context length].
        source: Where the weights came from.
    """

    model: Any
    tokenizer: Any
    source: WeightsSource


def load_open_clip(config: ClipConfig) -> LoadedClip:
    """Build the model that ``config`` names and load its weights, strictly.

    Raises:
        ConfigError: The architecture or the pretrained tag does not exist, or the two disagree.
        WeightsError: The weights are missing, cannot be downloaded, or do not fit.
    """
    open_clip = import_open_clip()
    has_schema = config.model.startswith((_LOCAL_DIR, _HUB))
    _check_names(open_clip, config, has_schema)
    if config.weights == UNTRAINED:
        model = _untrained(open_clip, config)
        digest = f"{UNTRAINED}-{tensor_digest(model)}"
    else:
        path = _weights_path(open_clip, config)
        model = _trained(open_clip, config, path)
        digest = sha256_file(path)
    tokenizer = open_clip.get_tokenizer(config.model)
    model.eval().requires_grad_(False)
    weights_id = config.model if config.weights is None else f"{config.model}/{config.weights}"
    source = WeightsSource(weights_id, digest, config.weights != UNTRAINED)
    return LoadedClip(model, tokenizer, source)


def _check_names(open_clip: ModuleType, config: ClipConfig, has_schema: bool) -> None:
    if has_schema:
        if config.weights not in (None, UNTRAINED):
            raise ConfigError(
                f"weights = {config.weights!r} beside model = {config.model!r}: "
                "this model brings its own weights.",
                hint="Leave weights empty, or set it to 'untrained'.",
            )
        return
    known = open_clip.list_models()
    if config.model.replace("/", "-") not in known:
        raise ConfigError(
            f"open_clip has no model {config.model!r}.", hint=did_you_mean(config.model, known)
        )
    if config.weights is None:
        tags = open_clip.list_pretrained_tags_by_model(config.model)
        raise ConfigError(
            f"No weights given for model {config.model!r}.",
            hint=f"Set weights to a tag ({', '.join(tags)}), a checkpoint file or 'untrained'.",
        )


def _weights_path(open_clip: ModuleType, config: ClipConfig) -> Path:
    if config.model.startswith(_LOCAL_DIR):
        return _local_weights(Path(config.model.removeprefix(_LOCAL_DIR)))
    if config.model.startswith(_HUB):
        fetch = open_clip.pretrained.download_pretrained_from_hf
        repository = config.model.removeprefix(_HUB)
        _download(config, lambda: fetch(repository, filename="open_clip_config.json"))
        return _download(config, lambda: fetch(repository))
    weights = str(config.weights)
    tag = open_clip.get_pretrained_cfg(config.model.replace("/", "-"), weights)
    if tag:
        _check_quick_gelu(open_clip, config, tag)
        return _download(config, lambda: open_clip.download_pretrained(tag))
    if not Path(weights).is_file():
        tags = open_clip.list_pretrained_tags_by_model(config.model)
        raise WeightsError(
            f"weights = {weights!r} is neither a file nor a pretrained tag of {config.model}.",
            hint=f"{did_you_mean(weights, tags)} All tags: {', '.join(tags)}.",
        )
    return Path(weights)


def _local_weights(directory: Path) -> Path:
    if not (directory / "open_clip_config.json").is_file():
        raise WeightsError(
            f"{directory}: no open_clip_config.json, so this is no open_clip model folder.",
            hint="The demo's folder comes with git: `git checkout data/weights/demo_clip`.",
        )
    for name in _LOCAL_NAMES:
        if (directory / name).is_file():
            return directory / name
    raise WeightsError(
        f"{directory}: holds no weights.", hint=f"Put {_LOCAL_NAMES[0]} beside its config."
    )


def _check_quick_gelu(open_clip: ModuleType, config: ClipConfig, tag: dict[str, Any]) -> None:
    architecture = open_clip.get_model_config(config.model.replace("/", "-")) or {}
    if bool(tag.get("quick_gelu")) == bool(architecture.get("quick_gelu")):
        return
    other = (
        f"{config.model}-quickgelu"
        if tag.get("quick_gelu")
        else config.model.removesuffix("-quickgelu")
    )
    raise ConfigError(
        f"Weights {config.weights!r} were trained with another GELU than model {config.model!r}; "
        "every feature would be slightly wrong.",
        hint=f"Use model: {other}",
    )


def _download(config: ClipConfig, fetch: Callable[[], str]) -> Path:
    try:
        return download(fetch)
    except Exception as error:  # noqa: BLE001  # hubs fail in as many ways as there are clients
        cause = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WeightsError(
            f"Cannot fetch the weights {config.weights or config.model} of {config.model}: {cause}",
            hint="Without network access: download the checkpoint elsewhere, copy it here "
            "(data/weights/ is tracked by the pipeline) and set weights to its path.",
        ) from None


def _trained(open_clip: ModuleType, config: ClipConfig, path: Path) -> Any:
    try:
        with cache_only():  # whatever it needs was fetched to know its hash
            return open_clip.create_model(
                config.model, pretrained=config.weights, require_pretrained=True, weights_only=True
            )
    except Exception as error:  # a bad file can fail anywhere in the readers
        cause = str(error).strip() or type(error).__name__
        raise WeightsError(
            f"{path}: cannot be loaded into {config.model}: {cause[:300]}",
            hint="Check that the file is complete and belongs to this architecture.",
        ) from error


def _untrained(open_clip: ModuleType, config: ClipConfig) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return open_clip.create_model(config.model, load_weights=False, pretrained_text=False)

"""From a ClipConfig to an open_clip model, with the weights' identity checked and recorded."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import torch
from huggingface_hub import hf_hub_download

from pipeline_lib.backbones.base import Preprocess, WeightsSource
from pipeline_lib.backbones.hub import Fetched, cache_first, cache_only
from pipeline_lib.backbones.openai_checkpoint import read_openai
from pipeline_lib.backbones.weight_files import UNTRAINED, load_strictly, tensor_digest
from pipeline_lib.config import ClipConfig
from pipeline_lib.errors import ConfigError, WeightsError, did_you_mean
from pipeline_lib.fingerprint import sha256_file
from pipeline_lib.runtime.torchvision_ops import import_open_clip
from pipeline_lib.video.scaling import Resize

LOCAL_DIR = "local-dir:"
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
        preprocess: How its image tower wants frames.
    """

    model: Any
    tokenizer: Any
    source: WeightsSource
    preprocess: Preprocess


def load_open_clip(config: ClipConfig) -> LoadedClip:
    """Build the model that ``config`` names and load its weights, strictly.

    Raises:
        ConfigError: The architecture or the pretrained tag does not exist, the two disagree, or
            the preprocessing is not supported.
        WeightsError: The weights are missing, cannot be downloaded, or do not fit.
    """
    open_clip = import_open_clip()
    has_schema = config.model.startswith((LOCAL_DIR, _HUB))
    _check_names(open_clip, config, has_schema)
    if not has_schema:
        _fetch_text_config(open_clip, config)
    if config.weights == UNTRAINED:
        model = _untrained(open_clip, config)
        digest = f"{UNTRAINED}-{tensor_digest(model)}"
    else:
        path = _weights_path(open_clip, config)
        model = _trained(open_clip, config, path)
        digest = sha256_file(path)
    tokenizer = _from_hub(config, "tokenizer", lambda: open_clip.get_tokenizer(config.model))
    weights_id = config.model if config.weights is None else f"{config.model}/{config.weights}"
    source = WeightsSource(weights_id, digest, config.weights != UNTRAINED)
    return LoadedClip(frozen(model), tokenizer, source, _preprocess(model.visual.preprocess_cfg))


def model_config(config: ClipConfig) -> dict[str, Any]:
    """The architecture that ``config`` names, as ``model_cfg`` of an open_clip folder has it.

    Raises:
        WeightsError: The folder or the hub's file that held it is gone.
    """
    open_clip = import_open_clip()
    if config.model.startswith(LOCAL_DIR):
        _require_model_folder(Path(config.model.removeprefix(LOCAL_DIR)))
    elif not config.model.startswith(_HUB):
        return _architecture(open_clip, config)
    content: dict[str, Any] = _from_hub(
        config, "architecture", lambda: open_clip.get_model_config(config.model)
    )
    return content


def frozen(model: Any) -> Any:
    """``model`` in eval mode and without gradients."""
    return model.eval().requires_grad_(False)


def _preprocess(config: dict[str, Any]) -> Preprocess:
    size = config["size"]
    if isinstance(size, (tuple, list)):
        if len(set(size)) != 1:
            raise ConfigError(f"A CLIP with a non-square input {tuple(size)} is not supported.")
        size = size[0]
    mode = config["resize_mode"]
    if mode not in ("shortest", "squash"):
        raise ConfigError(
            f"A CLIP preprocessed with resize_mode {mode!r} is not supported.",
            hint="Supported: shortest, squash.",
        )
    # open_clip evaluates with bicubic unless bilinear is named; 'random' concerns training only.
    interpolation: Literal["bicubic", "bilinear"] = (
        "bilinear" if config["interpolation"] == "bilinear" else "bicubic"
    )
    resize = Resize(int(size), mode, interpolation, crop=int(size))
    return Preprocess(resize, tuple(config["mean"]), tuple(config["std"]))


def _check_names(open_clip: ModuleType, config: ClipConfig, has_schema: bool) -> None:
    if has_schema:
        if config.weights not in (None, UNTRAINED):
            raise ConfigError(
                f"weights = {config.weights!r} beside model = {config.model!r}: "
                "this model brings its own weights.",
                hint="Leave weights empty, or set it to 'untrained'.",
            )
        if config.model.startswith(LOCAL_DIR):
            _require_model_folder(Path(config.model.removeprefix(LOCAL_DIR)))
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


def _architecture(open_clip: ModuleType, config: ClipConfig) -> dict[str, Any]:
    return open_clip.get_model_config(config.model.replace("/", "-")) or {}


def _weights_path(open_clip: ModuleType, config: ClipConfig) -> Path:
    if config.model.startswith(LOCAL_DIR):
        return _local_weights(Path(config.model.removeprefix(LOCAL_DIR)))
    if config.model.startswith(_HUB):
        fetch = open_clip.pretrained.download_pretrained_from_hf
        repository = config.model.removeprefix(_HUB)
        address = f"https://huggingface.co/{repository}"
        _download(config, lambda: fetch(repository, filename="open_clip_config.json"), address)
        return _download(config, lambda: fetch(repository), address)
    weights = str(config.weights)
    tag = open_clip.get_pretrained_cfg(config.model.replace("/", "-"), weights)
    if tag:
        _check_quick_gelu(open_clip, config, tag)
        address = tag.get("url") or f"https://huggingface.co/{tag['hf_hub'].rstrip('/')}"
        return _download(config, lambda: open_clip.download_pretrained(tag), address)
    if not Path(weights).is_file():
        tags = open_clip.list_pretrained_tags_by_model(config.model)
        raise WeightsError(
            f"weights = {weights!r} is neither a file nor a pretrained tag of {config.model}.",
            hint=f"{did_you_mean(weights, tags)} All tags: {', '.join(tags)}.",
        )
    return Path(weights)


def _require_model_folder(directory: Path) -> None:
    if not (directory / "open_clip_config.json").is_file():
        raise WeightsError(
            f"{directory}: neither open_clip_config.json (open_clip) nor config.json "
            "(transformers), so this is no model folder.",
            hint="The demo's folders come with git: `git checkout data/weights`.",
        )


def _local_weights(directory: Path) -> Path:
    for name in _LOCAL_NAMES:
        if (directory / name).is_file():
            return directory / name
    raise WeightsError(
        f"{directory}: holds no weights.", hint=f"Put {_LOCAL_NAMES[0]} beside its config."
    )


def _check_quick_gelu(open_clip: ModuleType, config: ClipConfig, tag: dict[str, Any]) -> None:
    if bool(tag.get("quick_gelu")) == bool(_architecture(open_clip, config).get("quick_gelu")):
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


def _require_quick_gelu(open_clip: ModuleType, config: ClipConfig, path: Path) -> None:
    if _architecture(open_clip, config).get("quick_gelu"):
        return
    right = f"{config.model.replace('/', '-')}-quickgelu"
    known = right in open_clip.list_models()
    raise ConfigError(
        f"{path} is OpenAI's and was trained with QuickGELU, which model {config.model!r} does "
        "not have; every feature would be slightly wrong.",
        hint=f"Use model: {right}" if known else "Use the -quickgelu model of the file's name.",
    )


def _download(config: ClipConfig, fetch: Callable[[], str], address: str) -> Path:
    hint = (
        f"Without network access: download the checkpoint elsewhere from {address}, copy it here "
        "(data/weights/ is tracked by the pipeline) and set weights to its path."
    )
    return Path(_from_hub(config, f"weights {config.weights or config.model}", fetch, hint))


def _from_hub(
    config: ClipConfig, what: str, fetch: Callable[[], Fetched], hint: str = ""
) -> Fetched:
    try:
        return cache_first(fetch)
    except Exception as error:  # noqa: BLE001  # hubs fail in as many ways as there are clients
        cause = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WeightsError(
            f"Cannot fetch the {what} of {config.model}: {cause}",
            hint=hint
            or "It comes from the Hugging Face hub: load this model once where there is network "
            "access, and copy that machine's cache (~/.cache/huggingface) here.",
        ) from None


def _fetch_text_config(open_clip: ModuleType, config: ClipConfig) -> None:
    """Have at hand what open_clip needs to build a text tower of the hub."""
    name = _architecture(open_clip, config).get("text_cfg", {}).get("hf_model_name")
    if name:
        _from_hub(config, f"text tower's {name}", lambda: hf_hub_download(name, "config.json"))


def _trained(open_clip: ModuleType, config: ClipConfig, path: Path) -> Any:
    given = config.weights is not None and Path(config.weights) == path
    tensors = read_openai(path) if given else None
    if tensors is not None:
        _require_quick_gelu(open_clip, config, path)
        return load_strictly(_untrained(open_clip, config), tensors, path)
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

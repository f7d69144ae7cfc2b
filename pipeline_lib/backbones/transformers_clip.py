"""CLIPs in transformers' format, turned into open_clip models.

Only names and layouts differ, so the rest of this library (text tower, prompts, mining) sees one
kind of CLIP.
"""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor

from pipeline_lib.backbones.base import Preprocess, WeightsSource
from pipeline_lib.backbones.open_clip_weights import LOCAL_DIR, LoadedClip, frozen
from pipeline_lib.backbones.transformers_folder import (
    CONFIG,
    SAFETENSORS,
    fetch_folder,
    import_transformers,
    read_config,
    read_json,
)
from pipeline_lib.backbones.weight_files import (
    UNTRAINED,
    load_strictly,
    read_tensors,
    tensor_digest,
)
from pipeline_lib.config import ClipConfig
from pipeline_lib.errors import ConfigError, WeightsError
from pipeline_lib.fingerprint import sha256_file
from pipeline_lib.runtime.torchvision_ops import import_open_clip
from pipeline_lib.video.scaling import Resize

HUB = "transformers:"
PREPROCESSOR = "preprocessor_config.json"
_PICKLE = "pytorch_model.bin"
_TOWERS = (("text_model.", ""), ("vision_model.", "visual."))
_RENAMED = (
    ("embeddings.token_embedding.", "token_embedding."),
    ("embeddings.position_embedding.weight", "positional_embedding"),
    ("embeddings.class_embedding", "class_embedding"),
    ("embeddings.patch_embedding.", "conv1."),
    ("pre_layrnorm.", "ln_pre."),
    ("post_layernorm.", "ln_post."),
    ("final_layer_norm.", "ln_final."),
    ("encoder.layers.", "transformer.resblocks."),
    (".layer_norm1.", ".ln_1."),
    (".layer_norm2.", ".ln_2."),
    (".self_attn.out_proj.", ".attn.out_proj."),
    (".mlp.fc1.", ".mlp.c_fc."),
    (".mlp.fc2.", ".mlp.c_proj."),
)
_PROJECTIONS = {
    "text_projection.weight": "text_projection",
    "visual_projection.weight": "visual.proj",
}
# OpenAI's vocabulary, the only one whose tokenizer prompts are built for. Its last token ends a
# text; files older than that convention say 2 and mean the same.
_VOCABULARY = 49408
_END_OF_TEXT = (2, _VOCABULARY - 1)
# Pillow's numbers.
_FILTERS: dict[str, Literal["bilinear", "bicubic"]] = {"2": "bilinear", "3": "bicubic"}


def is_transformers_clip(model: str) -> bool:
    """Whether ``model`` of a ClipConfig names a CLIP in transformers' format."""
    if model.startswith(HUB):
        return True
    folder = Path(model.removeprefix(LOCAL_DIR))
    return (
        model.startswith(LOCAL_DIR)
        and not (folder / "open_clip_config.json").is_file()
        and (folder / CONFIG).is_file()
    )


def load_transformers_clip(config: ClipConfig) -> LoadedClip:
    """Load the CLIP of a folder (``local-dir:path``) or of the hub (``transformers:org/name``).

    Raises:
        ConfigError: Weights given beside it, or a network or preprocessing that open_clip's
            cannot imitate.
        WeightsError: A file is missing, damaged, or of another network.
    """
    if config.weights not in (None, UNTRAINED):
        raise ConfigError(
            f"weights = {config.weights!r} beside model = {config.model!r}: "
            "this model brings its own weights.",
            hint="Leave weights empty, or set it to 'untrained'.",
        )
    folder = source_folder(config)
    architecture = _architecture(folder)
    preprocess = _preprocess(folder, architecture.vision_config.image_size)
    open_clip = import_open_clip()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = _build(open_clip, architecture, folder / CONFIG)
    if config.weights == UNTRAINED:
        digest = f"{UNTRAINED}-{tensor_digest(model)}"
    else:
        path = _weights(folder)
        load_strictly(model, to_open_clip(read_tensors(path)), path)
        digest = sha256_file(path)
    length = architecture.text_config.max_position_embeddings
    tokenizer = open_clip.get_tokenizer("ViT-B-32", context_length=length)
    source = WeightsSource(config.model, digest, config.weights != UNTRAINED)
    return LoadedClip(frozen(model), tokenizer, source, preprocess)


def to_open_clip(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A ``CLIPModel``'s tensors under the names and in the layout of open_clip's ``CLIP``."""
    converted: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.endswith(".position_ids"):
            continue  # 0, 1, 2, …, which older versions stored
        if name in _PROJECTIONS:
            converted[_PROJECTIONS[name]] = tensor.T.contiguous()
        elif ".self_attn.q_proj." in name:
            parts = [name.replace(".q_proj.", f".{part}_proj.") for part in "qkv"]
            if all(part in tensors for part in parts):
                joint = _renamed(name).replace(".self_attn.q_proj.", ".attn.in_proj_")
                converted[joint] = torch.cat([tensors[part] for part in parts])
        elif ".self_attn.k_proj." not in name and ".self_attn.v_proj." not in name:
            converted[_renamed(name)] = tensor
    if "logit_scale" in converted:  # a scalar, or one number in a list
        converted["logit_scale"] = converted["logit_scale"].reshape(())
    return converted


def to_transformers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of :func:`to_open_clip`."""
    converted: dict[str, Tensor] = {}
    projections = {ours: theirs for theirs, ours in _PROJECTIONS.items()}
    for name, tensor in tensors.items():
        if name in projections:
            converted[projections[name]] = tensor.T.contiguous()
        elif ".attn.in_proj_" in name:
            for part, rows in zip("qkv", tensor.chunk(3), strict=True):
                one = name.replace(".attn.in_proj_", f".self_attn.{part}_proj.")
                converted[_renamed_back(one)] = rows
        else:
            converted[_renamed_back(name)] = tensor
    return converted


def _renamed_back(name: str) -> str:
    if name == "logit_scale":
        return name
    tower = "vision_model." if name.startswith("visual.") else "text_model."
    name = name.removeprefix("visual.")
    for theirs, ours in _RENAMED:
        name = name.replace(ours, theirs)
    return tower + name


def _renamed(name: str) -> str:
    for theirs, ours in _TOWERS:
        if name.startswith(theirs):
            name = ours + name.removeprefix(theirs)
            for old, new in _RENAMED:
                name = name.replace(old, new)
            break
    return name


def source_folder(config: ClipConfig) -> Path:
    """The folder that holds the model's files, fetched from the hub where it is one of the hub's.

    Raises:
        WeightsError: They are not cached and cannot be downloaded.
    """
    if config.model.startswith(LOCAL_DIR):
        return Path(config.model.removeprefix(LOCAL_DIR))
    repository = config.model.removeprefix(HUB)
    files: tuple[str, ...] = (CONFIG, PREPROCESSOR)
    remedy = f"set model to '{LOCAL_DIR}' followed by that folder's path"
    if config.weights != UNTRAINED:
        files += (SAFETENSORS,)
    return fetch_folder(repository, files, remedy)


def _architecture(folder: Path) -> Any:
    read_config(folder, "clip")
    try:  # the library fills in what the file leaves at its default
        return import_transformers().CLIPConfig.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # noqa: BLE001  # wrong types fail in its validators and beyond
        cause = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise WeightsError(
            f"{folder / CONFIG}: describes no CLIP ({cause}).", hint="Copy it again."
        ) from None


def _weights(folder: Path) -> Path:
    for name in (SAFETENSORS, _PICKLE):
        if (folder / name).is_file():
            return folder / name
    raise WeightsError(
        f"{folder}: holds no weights.", hint=f"Put {SAFETENSORS} beside its {CONFIG}."
    )


def _build(open_clip: ModuleType, config: Any, path: Path) -> Any:
    text, vision = config.text_config, config.vision_config
    activations = {text.hidden_act, vision.hidden_act}
    if len(activations) != 1 or not activations <= {"gelu", "quick_gelu"}:
        raise ConfigError(
            f"{path}: hidden_act {' and '.join(sorted(activations))} is not supported.",
            hint="Supported: gelu or quick_gelu, the same in both towers.",
        )
    if text.vocab_size != _VOCABULARY or text.eos_token_id not in _END_OF_TEXT:
        raise ConfigError(
            f"{path}: vocab_size {text.vocab_size} with eos_token_id {text.eos_token_id} is not "
            "the vocabulary of OpenAI's tokenizer.",
            hint="Only CLIPs with that tokenizer (49408 tokens) are supported.",
        )
    return open_clip.CLIP(
        embed_dim=config.projection_dim,
        quick_gelu=activations == {"quick_gelu"},
        vision_cfg={
            "image_size": vision.image_size,
            "patch_size": vision.patch_size,
            "head_width": vision.hidden_size // vision.num_attention_heads,
            **_transformer(vision),
        },
        text_cfg={
            "context_length": text.max_position_embeddings,
            "vocab_size": text.vocab_size,
            "heads": text.num_attention_heads,
            **_transformer(text),
        },
    )


def _transformer(tower: Any) -> dict[str, Any]:
    return {
        "width": tower.hidden_size,
        "layers": tower.num_hidden_layers,
        "mlp_ratio": tower.intermediate_size / tower.hidden_size,
        "norm_kwargs": {"eps": tower.layer_norm_eps},
    }


def _preprocess(folder: Path, image_size: int) -> Preprocess:
    path = folder / PREPROCESSOR
    content = read_json(folder, PREPROCESSOR)
    skipped = [
        step
        for step in ("do_resize", "do_center_crop", "do_rescale", "do_normalize")
        if not content.get(step, True)
    ]
    if skipped:
        raise ConfigError(f"{path}: preprocessing without {', '.join(skipped)} is not supported.")
    size, crop = _side(content, "size", path), _side(content, "crop_size", path)
    if crop != image_size or size < crop:
        raise ConfigError(
            f"{path}: size {size} and crop_size {crop} do not give the {image_size} pixels that "
            f"{folder / CONFIG} wants."
        )
    resample = str(content.get("resample"))
    if resample not in _FILTERS:
        raise ConfigError(
            f"{path}: resample = {resample} is not supported.",
            hint="Supported: 2 (bilinear) and 3 (bicubic).",
        )
    resize = Resize(size, "shortest", _FILTERS[resample], crop=crop)
    return Preprocess(
        resize, _colour(content, "image_mean", path), _colour(content, "image_std", path)
    )


def _side(content: Mapping[str, Any], key: str, path: Path) -> int:
    """One number, from what transformers has written for it over the years."""
    value = content.get(key)
    if isinstance(value, dict):
        edges = {value.get(edge) for edge in ("shortest_edge", "height", "width")} - {None}
        square_scaling = key == "size" and "shortest_edge" not in value
        value = edges.pop() if len(edges) == 1 and not square_scaling else None
    if not isinstance(value, int):
        raise ConfigError(
            f"{path}: {key} = {content.get(key)!r} is not supported.",
            hint='Supported: a number, {"shortest_edge": n} for size, and equal height and width '
            "for crop_size.",
        )
    return value


def _colour(content: Mapping[str, Any], key: str, path: Path) -> tuple[float, float, float]:
    value = content.get(key)
    match value:
        case [float() | int() as red, float() | int() as green, float() | int() as blue]:
            return float(red), float(green), float(blue)
        case _:
            raise ConfigError(f"{path}: {key} = {value!r} is not three numbers.")

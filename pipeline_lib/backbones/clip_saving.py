"""CLIPs written as model folders, in the format they were loaded from."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from pipeline_lib.backbones.base import Preprocess
from pipeline_lib.backbones.open_clip_weights import model_config
from pipeline_lib.backbones.transformers_clip import (
    PREPROCESSOR,
    is_transformers_clip,
    source_folder,
    to_transformers,
)
from pipeline_lib.backbones.transformers_folder import CONFIG, SAFETENSORS, read_json
from pipeline_lib.config import ClipConfig
from pipeline_lib.errors import WeightsError
from pipeline_lib.storage.atomic import write_json, write_text
from pipeline_lib.storage.directories import replacing_directory

_TOKENIZER = "tokenizer.json"
_VOCABULARY = "vocab.json"
_MERGES = "merges.txt"
_TOKENIZER_CONFIG = "tokenizer_config.json"
# What transformers keeps of a processor beside the weights.
_PROCESSOR_FILES = (
    PREPROCESSOR,
    "processor_config.json",
    _TOKENIZER,
    _TOKENIZER_CONFIG,
    _VOCABULARY,
    _MERGES,
    "special_tokens_map.json",
    "added_tokens.json",
)
# Around a text, as OpenAI and transformers write them; open_clip spells them otherwise.
_MARKS = ("<|startoftext|>", "<|endoftext|>")
_SHOWN = 3


@dataclass(frozen=True)
class ClipWeights:
    """What a saved CLIP is made of, apart from the files of the model it came from.

    Attributes:
        tensors: By open_clip's names, on the CPU.
        tokenizer: As loaded.
        preprocess: As loaded.
    """

    tensors: Mapping[str, Tensor]
    tokenizer: Any
    preprocess: Preprocess


def write_clip(clip: ClipWeights, source: ClipConfig, out: Path) -> None:
    """Write a model folder that ``ClipConfig(model=f"local-dir:{out}")`` names.

    A CLIP of transformers becomes one that ``CLIPModel.from_pretrained`` and
    ``CLIPProcessor.from_pretrained`` load offline; every other becomes a folder of open_clip. The
    folder is replaced as a whole, and equal weights give equal bytes.

    Args:
        clip: The weights.
        source: The section that the model was loaded from.
        out: The folder.

    Raises:
        WeightsError: A weight is not a finite number, or files of the source are gone.
    """
    require_finite(clip.tensors, out)
    write = _write_transformers if is_transformers_clip(source.model) else _write_open_clip
    with replacing_directory(out) as folder:
        write(clip, source, folder)


def require_finite(tensors: Mapping[str, Tensor], out: Path) -> None:
    """Refuse to write weights of a training that diverged.

    Raises:
        WeightsError: A number is NaN or infinite.
    """
    broken = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if broken:
        shown = ", ".join(broken[:_SHOWN]) + (", …" if len(broken) > _SHOWN else "")
        raise WeightsError(
            f"{out}: not written, {len(broken)} tensors hold NaN or infinity ({shown}).",
            hint="The training diverged: use a smaller learning rate, or precision: fp32.",
        )


def _write_open_clip(clip: ClipWeights, source: ClipConfig, folder: Path) -> None:
    resize = clip.preprocess.resize
    content = {
        "model_cfg": model_config(source),
        "preprocess_cfg": {
            "size": resize.crop,
            "mode": "RGB",
            "mean": list(clip.preprocess.mean),
            "std": list(clip.preprocess.std),
            "interpolation": resize.interpolation,
            "resize_mode": resize.mode,
        },
    }
    write_json(folder / "open_clip_config.json", content)
    save_file(dict(clip.tensors), folder / "open_clip_model.safetensors", {"format": "pt"})
    if hasattr(clip.tokenizer, "save_pretrained"):  # one of transformers, read from the folder
        clip.tokenizer.save_pretrained(folder)


def _write_transformers(clip: ClipWeights, source: ClipConfig, folder: Path) -> None:
    origin = source_folder(source)
    content = read_json(origin, CONFIG)
    read_json(origin, PREPROCESSOR)
    write_json(folder / CONFIG, _in_fp32(content))
    for name in _PROCESSOR_FILES:
        if (origin / name).is_file():
            shutil.copyfile(origin / name, folder / name)
    if not any(
        all((folder / name).is_file() for name in names)
        for names in ((_TOKENIZER,), (_VOCABULARY, _MERGES))
    ):
        _write_vocabulary(clip.tokenizer, folder)
    save_file(to_transformers(clip.tensors), folder / SAFETENSORS, {"format": "pt"})


def _in_fp32(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration that says what is stored: transformers loads weights as it says."""
    kept = {key: value for key, value in config.items() if key not in ("dtype", "torch_dtype")}
    for tower in ("text_config", "vision_config"):
        if isinstance(kept.get(tower), dict):
            kept[tower] = {
                k: v for k, v in kept[tower].items() if k not in ("dtype", "torch_dtype")
            }
    return {**kept, "torch_dtype": "float32"}


def _write_vocabulary(tokenizer: Any, folder: Path) -> None:
    """OpenAI's vocabulary, which open_clip brings along, as transformers wants it."""
    start, end = _MARKS
    renamed = {tokenizer.sot_token_id: start, tokenizer.eot_token_id: end}
    vocabulary = {renamed.get(id_, token): id_ for token, id_ in tokenizer.encoder.items()}
    write_json(folder / _VOCABULARY, vocabulary)
    merges = (" ".join(pair) for pair in tokenizer.bpe_ranks)
    write_text(folder / _MERGES, "\n".join(["#version: 0.2", *merges]) + "\n")
    if not (folder / _TOKENIZER_CONFIG).is_file():
        write_json(
            folder / _TOKENIZER_CONFIG,
            {
                "tokenizer_class": "CLIPTokenizer",
                "model_max_length": tokenizer.context_length,
                "bos_token": start,
                "eos_token": end,
                "unk_token": end,
                "pad_token": end,
            },
        )

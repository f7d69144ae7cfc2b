"""Trained retrieval models as folders: ``adapters.safetensors`` beside ``config.json``.

The CLIP is not in the folder: its weights are named by where they came from and by their hash.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import save_file
from torch import Tensor

from pipeline_lib.backbones.base import WeightsSource
from pipeline_lib.backbones.clip_saving import require_finite
from pipeline_lib.config import ClipConfig, TempMeStopModelConfig, as_dict
from pipeline_lib.errors import WeightsError
from pipeline_lib.storage.atomic import write_json
from pipeline_lib.storage.directories import replacing_directory

ADAPTERS = "adapters.safetensors"
CONFIG = "config.json"
_ARCHITECTURE = "architecture"
_CLIP = "clip"
_SHA256 = "weights_sha256"


@dataclass(frozen=True)
class RetrievalFolder:
    """What ``config.json`` says.

    Attributes:
        config: The architecture.
        section: Where the CLIP comes from.
        clip_sha256: What :class:`WeightsSource` called its weights.
        facts: All else.
    """

    config: TempMeStopModelConfig
    section: ClipConfig
    clip_sha256: str
    facts: Mapping[str, Any]


def architecture(config: TempMeStopModelConfig) -> TempMeStopModelConfig:
    """The architecture alone, of a section that may say more."""
    names = [field.name for field in fields(TempMeStopModelConfig)]
    return TempMeStopModelConfig(**{name: getattr(config, name) for name in names})


def save_adapters(
    out: Path,
    tensors: Mapping[str, Tensor],
    config: TempMeStopModelConfig,
    clip: tuple[ClipConfig, WeightsSource],
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write a model folder; it is replaced as a whole, and equal tensors give equal bytes.

    Args:
        out: The folder.
        tensors: Those that are trained, by their names in the network's state dict.
        config: The architecture, as ``RetrievalModel.config`` has it.
        clip: The section that the CLIP was loaded from, and its weights.
        facts: Further JSON-able facts for ``config.json``.

    Raises:
        WeightsError: A tensor holds NaN or infinity.
    """
    require_finite(tensors, out)
    section, source = clip
    content = {
        _ARCHITECTURE: as_dict(architecture(config)),
        _CLIP: {**as_dict(section), _SHA256: source.sha256},
        **(facts or {}),
    }
    plain = {
        name: tensors[name].detach().to("cpu", torch.float32).contiguous()
        for name in sorted(tensors)
    }
    with replacing_directory(out) as folder:
        write_json(folder / CONFIG, content)
        save_file(plain, folder / ADAPTERS, {"format": "pt"})


def read_folder(folder: Path) -> RetrievalFolder:
    """What a model folder says about itself.

    Raises:
        WeightsError: A file is missing, or not what :func:`save_adapters` writes.
    """
    for name in (CONFIG, ADAPTERS):
        if not (folder / name).is_file():
            raise WeightsError(
                f"{folder}: no {name}, so this is no trained retrieval model.",
                hint=_models_below(folder)
                or "Train one (`dvc repro train`), and name a folder such as "
                "data/models/tempme_stop/best.",
            )
    path = folder / CONFIG
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        clip = dict(content.pop(_CLIP))
        sha256 = str(clip.pop(_SHA256))
        # JSON mode takes a list where a tuple is declared.
        config = TypeAdapter(TempMeStopModelConfig).validate_json(
            json.dumps(content.pop(_ARCHITECTURE))
        )
        section = TypeAdapter(ClipConfig).validate_json(json.dumps(clip))
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        cause = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise WeightsError(
            f"{path}: does not describe a trained retrieval model ({cause}).",
            hint="Copy the folder again, or train anew with this version.",
        ) from None
    return RetrievalFolder(config, section, sha256, content)


def _models_below(folder: Path) -> str | None:
    """Model folders inside ``folder``, as a training leaves several of them."""
    below = sorted(str(path.parent) for path in folder.glob(f"**/{ADAPTERS}"))
    return f"It holds folders of models: name one of {', '.join(below)}." if below else None

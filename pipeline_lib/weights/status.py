"""Which weights a parameter file names that are not there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache

from pipeline_lib.backbones import mobileclip, slowfast, videomamba
from pipeline_lib.backbones.dinov2 import PUBLISHED as DINOV2
from pipeline_lib.backbones.transformers_folder import SAFETENSORS
from pipeline_lib.backbones.weight_files import UNTRAINED
from pipeline_lib.config import ClipConfig, Params
from pipeline_lib.runtime.torchvision_ops import import_open_clip

_TABLES = {
    "mobileclip": mobileclip.PUBLISHED,
    "slowfast": slowfast.PUBLISHED,
    "videomamba": videomamba.PUBLISHED,
}
_OWN_FOLDERS = "local-dir:"
_HUBS = ("hf-hub:", "transformers:")
# What open_clip and transformers may have saved of a repository on the hub.
_HUB_FILES = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
    SAFETENSORS,
    "pytorch_model.bin",
)


@dataclass(frozen=True)
class MissingWeights:
    """A backbone that the parameters use and whose weights are not on this machine.

    Attributes:
        backbone: The section of ``extract``.
        weights: As that section names them.
        problem: What is missing.
        remedy: What to do about it.
    """

    backbone: str
    weights: str
    problem: str
    remedy: str


def missing(params: Params) -> list[MissingWeights]:
    """The used backbones whose weights are neither at their path nor in a cache.

    Nothing is read but the presence of files; no request is sent.

    Args:
        params: As read from the parameter file; paths are relative to the current folder.
    """
    found = (_missing(name, getattr(params.extract, name, None)) for name in used(params))
    return [entry for entry in found if entry is not None]


def used(params: Params) -> list[str]:
    """The sections of ``extract`` that some stage reads, in a fixed order."""
    names = [
        *params.extract.backbones,
        params.mine.backbone,
        params.train.backbone,
        params.train.control_backbone,
        params.train.pos_neg.backbone,
        params.train.tempme_stop.backbone,
        params.train.videomamba.pretrain.teacher,
        params.evaluate.sim_m.backbone,
        params.evaluate.videomamba.frame_backbone,
    ]
    return list(dict.fromkeys(name for name in names if name))


def _missing(name: str, section: Any) -> MissingWeights | None:
    if section is None or section.weights == UNTRAINED:
        return None  # a section that is not there is told by who reads the parameters
    if isinstance(section, ClipConfig):
        return _missing_clip(name, section)
    weights = section.weights
    if name == "dinov2" and weights == DINOV2:
        repository = f"facebook/dinov2-{section.model}"
        return None if _on_hub_cache(repository) else _uncached(name, weights)
    file = _TABLES.get(name, {}).get(weights)
    if file is not None:
        cached = Path(torch.hub.get_dir()) / "checkpoints" / file.filename
        return None if cached.is_file() else _uncached(name, weights)
    return _missing_path(name, weights, name)


def _missing_clip(name: str, section: ClipConfig) -> MissingWeights | None:
    model, weights = section.model, section.weights
    if model.startswith(_OWN_FOLDERS):
        return _missing_path(name, model.removeprefix(_OWN_FOLDERS), None)
    schema = next((schema for schema in _HUBS if model.startswith(schema)), None)
    if schema is not None:
        there = _on_hub_cache(model.removeprefix(schema))
        return None if there else _uncached(name, model)
    tag = import_open_clip().get_pretrained_cfg(model.replace("/", "-"), weights or "")
    if not tag:
        return _missing_path(name, weights or "", "clip")
    repository = str(tag.get("hf_hub", "")).rstrip("/")
    own_cache = Path("~/.cache/clip").expanduser() / str(tag.get("url", "")).rsplit("/", 1)[-1]
    if own_cache.is_file() or (repository and _on_hub_cache(repository)):
        return None
    return _uncached(name, f"{model}/{weights}")


def _missing_path(name: str, weights: str, network: str | None) -> MissingWeights | None:
    if weights and Path(weights).exists():
        return None
    remedy = "`git checkout data/weights`, or `dvc pull`"
    if network is not None:
        remedy = f"`clipline weights fetch {network} --use`, or `dvc pull` where it is shared"
    if weights.startswith("data/models/"):
        remedy = "`dvc repro` makes it, `dvc pull` fetches a colleague's"
    return MissingWeights(name, weights, f"{weights or 'no path'} is not there", remedy)


def _uncached(name: str, weights: str) -> MissingWeights:
    network = "clip" if name.startswith("clip") else name
    return MissingWeights(
        name,
        weights,
        "published weights that are not in this machine's cache; the first use downloads them",
        f"`clipline weights fetch {network} --use` downloads and checks them now",
    )


def _on_hub_cache(repository: str) -> bool:
    return any(isinstance(try_to_load_from_cache(repository, name), str) for name in _HUB_FILES)

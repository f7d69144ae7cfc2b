"""Weights of VideoMamba: published checkpoints and model folders.

https://github.com/OpenGVLab/VideoMamba publishes pictures' weights below a key ``model`` and
videos' weights without one; a whole network may stand below ``backbone.`` or ``encoder.``.
"""

import argparse
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from pipeline_lib.backbones.transformers_folder import CONFIG, SAFETENSORS, read_json
from pipeline_lib.backbones.weight_files import read_tensors, require_fit
from pipeline_lib.errors import WeightsError
from pipeline_lib.fingerprint import sha256_file
from pipeline_lib.networks.videomamba import VideoMamba, VideoMambaShape, VideoMambaTrunk
from pipeline_lib.networks.videomamba_positions import (
    PATCHES,
    POSITIONS,
    TEMPORAL,
    grid_side,
)

Kind = Literal["video", "image", "pretrain"]
HEAD = "head."
_CLASS_TOKEN = "cls_token"
_PREFIXES = ("module.", "backbone.", "encoder.", "_orig_mod.")
_DECODER = "clip_decoder."
# Masked pretraining norms what it compares by a norm of its own name.
_PRETRAIN_NORM = "norm.weight"


@dataclass(frozen=True)
class VideoMambaCheckpoint:
    """Tensors that say what network they are of.

    Attributes:
        path: The file.
        sha256: Of the file.
        tensors: By their published names, without prefix.
        shape: Of the network, from the tensors.
        kind: ``image`` has no positions of frames, ``pretrain`` no classifier.
        classes: Outputs of the last layer; ``None`` for ``pretrain``.
        facts: ``config.json`` of a model folder; empty for a file.
    """

    path: Path
    sha256: str
    tensors: dict[str, Tensor]
    shape: VideoMambaShape
    kind: Kind
    classes: int | None
    facts: Mapping[str, Any]

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Of the outputs; ``None`` where they are not known or are values."""
        names = self.facts.get("classes")
        return tuple(names) if names else None


def read_videomamba(path: str | Path) -> VideoMambaCheckpoint:
    """Read a published checkpoint, or a model folder of this pipeline.

    Args:
        path: Of a ``.pth`` or ``.safetensors`` file, or of the folder.

    Raises:
        WeightsError: Missing, unreadable, of something else, or incomplete.
    """
    path, facts = Path(path), {}
    if path.is_dir():
        facts, path = _folder_facts(path), path / SAFETENSORS
    if not path.is_file():
        raise WeightsError(
            f"{path}: there is no such checkpoint.",
            hint="Give a published .pth file, or a folder such as data/models/videomamba/best.",
        )
    # Training scripts keep their arguments beside the tensors: a plain record that runs no code.
    with torch.serialization.safe_globals([argparse.Namespace]):
        found = read_tensors(path)
    tensors = {_published_name(name): tensor for name, tensor in found.items()}
    if _tensor(tensors, PATCHES, path).ndim == 4:
        # Of pictures: the axis of frames first makes them patches of clips of one frame.
        tensors[PATCHES] = tensors[PATCHES].unsqueeze(2)
    shape, kind = _shape(tensors, path), _kind(tensors)
    if facts:
        _require_same(facts, shape, path)
    checkpoint = VideoMambaCheckpoint(
        path=path,
        sha256=sha256_file(path),
        tensors=tensors,
        shape=shape,
        kind=kind,
        classes=None if kind == "pretrain" else len(_tensor(tensors, f"{HEAD}bias", path)),
        facts=facts,
    )
    _require_whole(checkpoint)
    _require_finite(checkpoint)
    return checkpoint


def describe(tensors: Mapping[str, Tensor], path: Path) -> tuple[VideoMambaShape, Kind]:
    """The network that tensors under published names are of.

    Raises:
        WeightsError: A tensor that tells a size is missing.
    """
    return _shape(tensors, path), _kind(tensors)


def _published_name(name: str) -> str:
    while prefix := next((known for known in _PREFIXES if name.startswith(known)), None):
        name = name.removeprefix(prefix)
    return name


def _tensor(tensors: Mapping[str, Tensor], name: str, path: Path) -> Tensor:
    if name not in tensors:
        raise WeightsError(
            f"{path}: no tensor {name}, so this is no VideoMamba, or not all of one.",
            hint="Give a checkpoint of https://github.com/OpenGVLab/VideoMamba (image_sm or "
            "video_sm), or train one: `dvc repro train`.",
        )
    return tensors[name]


def _shape(tensors: Mapping[str, Tensor], path: Path) -> VideoMambaShape:
    """The sizes that tensors tell."""
    patches = _tensor(tensors, PATCHES, path)
    if patches.ndim != 5:
        raise WeightsError(f"{path}: {PATCHES} of shape {list(patches.shape)} cuts no patches.")
    tubelet, patch = patches.shape[2], patches.shape[-1]
    temporal = tensors.get(TEMPORAL)
    layers = (re.match(r"layers\.(\d+)\.", name) for name in tensors)
    return VideoMambaShape(
        embed_dim=_tensor(tensors, _CLASS_TOKEN, path).shape[-1],
        depth=1 + max((int(match[1]) for match in layers if match), default=-1),
        patch_size=patch,
        tubelet=tubelet,
        frames=tubelet * (1 if temporal is None else temporal.shape[1]),
        image_size=patch * grid_side(_tensor(tensors, POSITIONS, path)),
        temporal=temporal is not None,
    )


def _kind(tensors: Mapping[str, Tensor]) -> Kind:
    if _PRETRAIN_NORM in tensors or any(name.startswith(_DECODER) for name in tensors):
        return "pretrain"
    return "video" if TEMPORAL in tensors else "image"


def _require_whole(checkpoint: VideoMambaCheckpoint) -> None:
    """Refuse what lacks a tensor, or has one more, of the network that it seems to be."""
    with torch.device("meta"):
        own = (
            VideoMambaTrunk(checkpoint.shape)
            if checkpoint.classes is None
            else VideoMamba(checkpoint.shape, checkpoint.classes)
        ).state_dict()
    tensors = checkpoint.tensors
    if checkpoint.kind == "pretrain":
        tensors = {
            name: value
            for name, value in tensors.items()
            if name != _PRETRAIN_NORM and not name.startswith(_DECODER)
        }
    require_fit(own, tensors, checkpoint.path)


def _require_finite(checkpoint: VideoMambaCheckpoint) -> None:
    for name, tensor in checkpoint.tensors.items():
        if not bool(tensor.isfinite().all()):
            raise WeightsError(
                f"{checkpoint.path}: {name} holds NaN or infinity.",
                hint="The training that wrote it diverged, or the file is damaged.",
            )


def _folder_facts(folder: Path) -> dict[str, Any]:
    if not (folder / CONFIG).is_file() or not (folder / SAFETENSORS).is_file():
        below = sorted(str(path.parent) for path in folder.glob(f"**/{SAFETENSORS}"))
        raise WeightsError(
            f"{folder}: not a model folder; it lacks {CONFIG} or {SAFETENSORS}.",
            hint=f"It holds folders of models: name one of {', '.join(below)}."
            if below
            else "Train one (`dvc repro train`), or give a published .pth file.",
        )
    return read_json(folder, CONFIG)


def _require_same(facts: Mapping[str, Any], shape: VideoMambaShape, path: Path) -> None:
    said = facts.get("architecture")
    if said != asdict(shape):
        raise WeightsError(
            f"{path}: its tensors are of {asdict(shape)}, but {CONFIG} beside it says {said}.",
            hint="Copy the folder again, or train anew.",
        )

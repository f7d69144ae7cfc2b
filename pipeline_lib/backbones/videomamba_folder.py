"""Trained VideoMambas as folders: ``model.safetensors`` beside ``config.json``."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pipeline_lib.backbones.base import Placement, Preprocess, WeightsSource
from pipeline_lib.backbones.clip_saving import require_finite
from pipeline_lib.backbones.transformers_folder import CONFIG, SAFETENSORS
from pipeline_lib.backbones.videomamba_checkpoint import (
    VideoMambaCheckpoint,
    describe,
    read_videomamba,
)
from pipeline_lib.errors import ConfigError, WeightsError
from pipeline_lib.networks.videomamba import VideoMamba, VideoMambaShape
from pipeline_lib.networks.videomamba_positions import interpolate_positions
from pipeline_lib.runtime.device import autocast, choose_precision
from pipeline_lib.storage.atomic import write_json
from pipeline_lib.storage.directories import replacing_directory
from pipeline_lib.video.imagenet import IMAGENET_MEAN, IMAGENET_STD
from pipeline_lib.video.scaling import Resize

log = logging.getLogger(__name__)

CLASSIFICATION = "classification"


@dataclass(frozen=True)
class LoadedVideoMamba:
    """A VideoMamba with all that is needed to use it.

    Attributes:
        network: In eval mode, frozen, on ``device``; its weights are fp32.
        shape: Its sizes.
        classes: Names of its outputs; ``None`` where they are not known or are values.
        task: ``classification`` or ``regression``.
        facts: ``config.json`` of its folder; empty for a published checkpoint.
        source: Where the weights came from.
        preprocess: How it wants frames.
        device: Where it runs.
        dtype: Of its matrix products in :meth:`logits`.
    """

    network: VideoMamba
    shape: VideoMambaShape
    classes: tuple[str, ...] | None
    task: str
    facts: Mapping[str, Any]
    source: WeightsSource
    preprocess: Preprocess
    device: torch.device
    dtype: torch.dtype

    def logits(self, clip: Tensor) -> Tensor:
        """Outputs of clips, without gradient.

        Args:
            clip: Normalised [B, 3, T, S, S], on any device.

        Returns:
            fp32 [B, classes] on ``device``.
        """
        with torch.no_grad(), autocast(self.device, self.dtype):
            out: Tensor = self.network(clip.to(self.device)).float()
        return out

    def normalise(self, frames: Tensor) -> Tensor:
        """What the network reads.

        Args:
            frames: uint8 [..., T, S, S, 3], scaled and cropped by ``preprocess.resize``.

        Returns:
            fp32 [..., 3, T, S, S] on ``device``.
        """
        mean = 255 * torch.tensor(self.preprocess.mean, device=self.device)
        std = 255 * torch.tensor(self.preprocess.std, device=self.device)
        return frames.to(self.device).float().sub_(mean).div_(std).movedim(-1, -4)


def preprocessing(image_size: int) -> Preprocess:
    """How a network for frames of ``image_size`` pixels wants them."""
    resize = Resize(image_size, "shortest", "bilinear", crop=image_size)
    return Preprocess(resize, IMAGENET_MEAN, IMAGENET_STD)


def save_videomamba(
    folder: Path, weights: nn.Module | Mapping[str, Tensor], facts: Mapping[str, Any]
) -> None:
    """Write a model folder; it is replaced as a whole, and equal content gives equal bytes.

    Args:
        folder: Where.
        weights: A network, or its tensors by their published names.
        facts: JSON-able, for ``config.json``: ``classes`` (names of the outputs, in order, or
            null), ``task`` (``classification`` if left out), and whatever else is worth keeping.

    Raises:
        WeightsError: A tensor holds NaN or infinity.
    """
    tensors = weights.state_dict() if isinstance(weights, nn.Module) else weights
    require_finite(tensors, folder)
    shape, kind = describe(tensors, folder)
    preprocess = preprocessing(shape.image_size)
    content = {
        "kind": kind,
        "architecture": asdict(shape),
        "classes": None,
        "task": CLASSIFICATION,
        "preprocess": {
            "size": shape.image_size,
            "mean": list(preprocess.mean),
            "std": list(preprocess.std),
        },
        **facts,
    }
    plain = {
        name: tensors[name].detach().to("cpu", torch.float32).contiguous()
        for name in sorted(tensors)
    }
    with replacing_directory(folder) as made:
        write_json(made / CONFIG, content)
        save_file(plain, made / SAFETENSORS, {"format": "pt"})


def open_videomamba(
    path: str | Path,
    placement: Placement,
    *,
    frames: int | None = None,
    image_size: int | None = None,
) -> LoadedVideoMamba:
    """Load a trained VideoMamba.

    Args:
        path: Of a published checkpoint, or of a model folder.
        placement: Where and how it runs; its batch size is not used.
        frames: Of a clip, where they are to be others than those of the checkpoint: positions
            are interpolated.
        image_size: Side of a frame, likewise.

    Raises:
        ConfigError: Frames or pixels cannot be cut into patches.
        WeightsError: Missing, unreadable, or without a classifier.
    """
    checkpoint = read_videomamba(path)
    network = network_of(checkpoint, scan=placement.scan, frames=frames, image_size=image_size)
    return LoadedVideoMamba(
        network=network.eval().requires_grad_(False).to(placement.device),
        shape=network.shape,
        classes=checkpoint.class_names,
        task=str(checkpoint.facts.get("task", CLASSIFICATION)),
        facts=checkpoint.facts,
        source=WeightsSource(str(path), checkpoint.sha256, trained=True),
        preprocess=preprocessing(network.shape.image_size),
        device=placement.device,
        dtype=choose_precision(placement.precision, placement.device),
    )


def network_of(
    checkpoint: VideoMambaCheckpoint,
    *,
    scan: str = "auto",
    frames: int | None = None,
    image_size: int | None = None,
) -> VideoMamba:
    """The network of a checkpoint, all its tensors loaded, for clips of other sizes if wanted.

    Raises:
        ConfigError: Frames or pixels cannot be cut into patches, or a network for pictures is to
            take several frames.
        WeightsError: The checkpoint has no classifier.
    """
    if checkpoint.classes is None:
        raise WeightsError(
            f"{checkpoint.path}: comes from masked pretraining and has no classifier.",
            hint="Train one on it: train.videomamba.start with this path.",
        )
    shape = _resized(checkpoint, frames, image_size)
    tensors = interpolate_positions(checkpoint.tensors, shape)
    with torch.device("meta"):
        network = VideoMamba(shape, checkpoint.classes, scan=scan)
    fp32 = {name: tensor.float() for name, tensor in tensors.items()}
    network.load_state_dict(fp32, strict=True, assign=True)
    return network


def _resized(
    checkpoint: VideoMambaCheckpoint, frames: int | None, image_size: int | None
) -> VideoMambaShape:
    old = checkpoint.shape
    shape = replace(old, frames=frames or old.frames, image_size=image_size or old.image_size)
    if shape == old:
        return old
    if shape.frames != old.frames and not old.temporal:
        raise ConfigError(
            f"{checkpoint.path}: was trained on pictures, and cannot tell {frames} frames apart.",
            hint="Train it on videos first, with train.videomamba.start naming this path.",
        )
    for name, value, unit in (
        ("frames", shape.frames, shape.tubelet), ("image_size", shape.image_size, shape.patch_size)
    ):  # fmt: skip
        if value % unit:
            raise ConfigError(
                f"{name} = {value} is no multiple of {unit}, which {checkpoint.path} has patches "
                "of.",
                hint=f"Use {value // unit * unit or unit} or {(value // unit + 1) * unit}.",
            )
    log.info(
        "%s: positions of %d frames of %d pixels are interpolated to %d frames of %d pixels",
        checkpoint.path, old.frames, old.image_size, shape.frames, shape.image_size,
    )  # fmt: skip
    return shape

"""Trained tensors of a TempMe-STOP network: from a model folder, or from TempMe's checkpoints."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from pipeline_lib.backbones.base import WeightsSource
from pipeline_lib.backbones.retrieval_folder import ADAPTERS, read_folder
from pipeline_lib.backbones.tempme_checkpoint import TempMeTensors, read_tempme
from pipeline_lib.backbones.weight_files import read_tensors, require_fit
from pipeline_lib.config import TempMeStopModelConfig
from pipeline_lib.errors import WeightsError
from pipeline_lib.fingerprint import sha256_file
from pipeline_lib.networks.tempme_stop import TempMeStop

# More than fp16 rounds away, less than any training changes.
_RTOL, _ATOL = 1e-2, 1e-3


def load_adapters(
    network: TempMeStop, config: TempMeStopModelConfig, path: Path, source: WeightsSource
) -> str:
    """Load trained tensors into a network.

    Args:
        network: Its CLIP is loaded, and what a checkpoint of TempMe does not have is started.
        config: Its architecture.
        path: A trained model's folder, or a checkpoint of TempMe.
        source: Of the CLIP's weights.

    Returns:
        The SHA-256 of the file of tensors.

    Raises:
        WeightsError: Missing, unreadable, of another CLIP or another architecture.
    """
    if path.is_dir():
        file = path / ADAPTERS
        own, tensors = network.learned(), _own_tensors(path, source)
        require_fit(own, tensors, file)
    else:
        file, own = path, network.clip.added()
        tensors = _tempme_tensors(network, config, path, source)
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(tensors[name])
    return sha256_file(file)


def _own_tensors(folder: Path, source: WeightsSource) -> dict[str, Tensor]:
    content = read_folder(folder)
    if content.clip_sha256 != source.sha256:
        raise WeightsError(
            f"{folder}: was trained on a CLIP with other weights ({content.clip_sha256[:16]}…) "
            f"than those of {source.id} ({source.sha256[:16]}…).",
            hint="Give it the CLIP that it was trained on, or train anew.",
        )
    return read_tensors(folder / ADAPTERS)


def _tempme_tensors(
    network: TempMeStop, config: TempMeStopModelConfig, path: Path, source: WeightsSource
) -> dict[str, Tensor]:
    """The tensors of a checkpoint of TempMe, whose network and CLIP must be these."""
    read = read_tempme(path)
    schedule = network.clip.visual.schedule
    positions = schedule.clips_before(network.frames) if schedule.frame_pos else {}
    if (read.lora_dim, read.positions) != (config.lora_dim, positions):
        raise WeightsError(
            f"{path}: has low-rank additions of rank {read.lora_dim} and frame positions for "
            f"{_counts(read.positions)}; this architecture has rank {config.lora_dim} and "
            f"{_counts(positions)}.",
            hint=_as_trained(read),
        )
    own, added = network.clip.state_dict(), network.clip.added()
    require_fit(own, read.tensors, path)
    for name in sorted(own.keys() - added.keys()):
        if not torch.allclose(own[name], read.tensors[name].float(), rtol=_RTOL, atol=_ATOL):
            raise WeightsError(
                f"{path}: was trained on another CLIP than {source.id} (tensor {name} differs).",
                hint="Give it the CLIP that it was trained on; TempMe uses OpenAI's.",
            )
    return read.tensors


def _as_trained(read: TempMeTensors) -> str:
    """The fields that give the positions of a checkpoint whose network joins all to one clip."""
    if not read.positions:
        return f"Set lora_dim {read.lora_dim} and frame_pos false."
    counts = [*read.positions.values(), 1]
    joined = [before // after for before, after in pairwise(counts)]
    return (
        f"Set lora_dim {read.lora_dim}, merge_layer {list(read.positions)}, merge_frame_num "
        f"{joined}, frame_pos true and clips 1 (in a JSON configuration: max_frames 1), and the "
        "shares of merged tokens as it was trained with; TempMe's own are 0.3 and 0.1."
    )


def _counts(positions: Mapping[int, int]) -> str:
    return ", ".join(f"{count} clips at block {layer}" for layer, count in positions.items()) or (
        "none"
    )

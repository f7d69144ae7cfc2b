"""The network that a training starts from."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline_lib.backbones.transformers_folder import SAFETENSORS
from pipeline_lib.backbones.videomamba_checkpoint import VideoMambaCheckpoint, read_videomamba
from pipeline_lib.backbones.videomamba_start import require_size, start_from
from pipeline_lib.config import VideoMambaConfig
from pipeline_lib.errors import ConfigError, WeightsError, did_you_mean
from pipeline_lib.networks.videomamba import VideoMamba, VideoMambaShape

logger = logging.getLogger(__name__)

SCRATCH, PRETRAINED = "scratch", "pretrained"


@dataclass(frozen=True)
class Start:
    """A network before its training.

    Attributes:
        network: On the CPU.
        facts: JSON-able: where its weights come from.
    """

    network: VideoMamba
    facts: dict[str, Any]


def scratch_start(
    config: VideoMambaConfig,
    shape: VideoMambaShape,
    classes: Sequence[str] | None,
    *,
    drop_path: float,
    scan: str,
) -> Start:
    """Random weights of ``config.seed``.

    Args:
        config: The section ``train.videomamba``.
        shape: Of the network.
        classes: Of the videos; ``None`` makes one output, a value.
        drop_path: Chance that a sample skips the last block.
        scan: As ``runtime.scan`` names it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = VideoMamba(
            shape,
            1 if classes is None else len(classes),
            drop_path=drop_path,
            head_dropout=config.head_dropout,
            init=config.model.init,
            position_std=config.model.position_std,
            scan=scan,
        )
    network.set_grad_checkpointing(config.grad_checkpointing)
    return Start(network, {"start": SCRATCH, "init": config.model.init, "seed": config.seed})


def read_start(
    config: VideoMambaConfig, shape: VideoMambaShape, pretrained: Path
) -> VideoMambaCheckpoint | None:
    """The checkpoint that ``train.videomamba.start`` names; ``None`` for random weights.

    Args:
        config: The section ``train.videomamba``.
        shape: Of the network that is to start from it.
        pretrained: What the pipeline's masked pretraining wrote.

    Raises:
        WeightsError: The checkpoint is missing, unreadable, or of another network.
    """
    if config.start == SCRATCH:
        return None
    path = pretrained if config.start == PRETRAINED else Path(config.start)
    if not path.exists():
        raise WeightsError(
            f"train.videomamba.start = {config.start!r}: there is no {path}.",
            hint="Run the masked pretraining before: `python stages/train.py videomamba_pretrain`."
            if config.start == PRETRAINED
            else f"{did_you_mean(config.start, [SCRATCH, PRETRAINED])} Anything else is the path "
            "of a published .pth file or a model folder.",
        )
    checkpoint = read_videomamba(path)
    require_size(shape, checkpoint)
    return checkpoint


def start_of(
    config: VideoMambaConfig,
    shape: VideoMambaShape,
    classes: Sequence[str] | None,
    checkpoint: VideoMambaCheckpoint | None,
    *,
    drop_path: float,
    scan: str,
) -> Start:
    """The network that a training starts from.

    Args:
        config: The section ``train.videomamba``.
        shape: Of the network.
        classes: Of the videos; ``None`` makes one output, a value.
        checkpoint: Of :func:`read_start`.
        drop_path: Chance that a sample skips the last block.
        scan: As ``runtime.scan`` names it.

    Raises:
        WeightsError: A tensor of the checkpoint does not fit.
    """
    begun = scratch_start(config, shape, classes, drop_path=drop_path, scan=scan)
    if checkpoint is None:
        return begun
    # A model folder is called by its own name.
    path = checkpoint.path if checkpoint.path.name != SAFETENSORS else checkpoint.path.parent
    result = start_from(begun.network, checkpoint, classes=classes)
    logger.info(
        "train.videomamba starts from %s: %d tensors taken over, %d adapted, %d left, fresh: %s",
        path,
        len(result.taken),
        len(result.adapted),
        len(result.left),
        ", ".join(result.fresh) or "none",
    )
    facts = {"start": path.as_posix(), "sha256": checkpoint.sha256, **result.summary()}
    return Start(begun.network, facts | {"init": config.model.init, "seed": config.seed})


def check_control(config: VideoMambaConfig) -> None:
    """Refuse a control that would be the same training again.

    Raises:
        ConfigError: It would.
    """
    if config.compare_scratch and config.start == SCRATCH:
        raise ConfigError(
            "train.videomamba.compare_scratch: true with start: scratch trains the same network "
            "twice.",
            hint="Set train.videomamba.compare_scratch: false, or start: pretrained.",
        )

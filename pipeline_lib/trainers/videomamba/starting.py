"""The network that a training starts from."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline_lib.backbones.videomamba_checkpoint import read_videomamba, start_from
from pipeline_lib.config import VideoMambaConfig
from pipeline_lib.errors import ConfigError
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
            scan=scan,
        )
    network.set_grad_checkpointing(config.grad_checkpointing)
    return Start(network, {"start": SCRATCH, "init": config.model.init, "seed": config.seed})


def start_of(
    config: VideoMambaConfig,
    shape: VideoMambaShape,
    classes: Sequence[str] | None,
    pretrained: Path,
    *,
    drop_path: float,
    scan: str,
) -> Start:
    """What ``train.videomamba.start`` names; arguments as of :func:`scratch_start`.

    Args:
        config: The section ``train.videomamba``.
        shape: Of the network.
        classes: Of the videos; ``None`` makes one output, a value.
        pretrained: What the pipeline's masked pretraining wrote.
        drop_path: Chance that a sample skips the last block.
        scan: As ``runtime.scan`` names it.

    Raises:
        WeightsError: The checkpoint is missing, unreadable, or of another network.
    """
    begun = scratch_start(config, shape, classes, drop_path=drop_path, scan=scan)
    if config.start == SCRATCH:
        return begun
    path = pretrained if config.start == PRETRAINED else Path(config.start)
    checkpoint = read_videomamba(path)
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

"""The training of a network, and of its control from random weights, up to publishing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline_lib.backbones.weight_files import tensor_digest
from pipeline_lib.config import VideoMambaConfig, as_dict
from pipeline_lib.runtime.distributed import Group
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.trainers.loop import Plan, fit, require_choice, warn_of_harm
from pipeline_lib.trainers.resume import Record, Row, RunFolder, run_fingerprint
from pipeline_lib.trainers.videomamba.presets import Settings
from pipeline_lib.trainers.videomamba.splits import Splits
from pipeline_lib.trainers.videomamba.starting import Start
from pipeline_lib.trainers.videomamba.task import VideoMambaTask

# What chooses the best epoch, and whether a lower value is better.
_SELECTED = {
    ("classification", "accuracy"): ("val_accuracy", False),
    ("regression", "accuracy"): ("val_mse", True),
}


@dataclass(frozen=True)
class Finished:
    """A training that is not published yet.

    Attributes:
        record: Its history.
        before: The ``val_…`` values of the network it started from.
        facts: JSON-able: what it started from.
        folder: Its checkpoints.
    """

    record: Record
    before: Row
    facts: dict[str, Any]
    folder: RunFolder


@dataclass(frozen=True, kw_only=True)
class Training:
    """What a training and its control share.

    Attributes:
        config: The section ``train.videomamba``.
        settings: What its preset decides.
        splits: Training and validation clips.
        group: The processes that train together.
        dtype: Of the forward pass.
        facts: JSON-able: all that a result depends on, but for the start.
        scratch: Holds the state of unfinished runs.
        tensorboard: Holds one directory of curves a run.
        workers: Threads that read clips ahead.
        progress: Told of each epoch.
    """

    config: VideoMambaConfig
    settings: Settings
    splits: Splits
    group: Group
    dtype: torch.dtype
    facts: Mapping[str, Any]
    scratch: Path
    tensorboard: Path
    workers: int = 0
    progress: Progress = SILENT

    def run(self, start: Start, *, epochs: int | None = None) -> Finished:
        """Train a network, or what is left of a training that was killed.

        Args:
            start: The network; afterwards it is that of the last epoch.
            epochs: Train exactly so many of the epochs that the schedule is made for.

        Raises:
            ConfigError: No val clips choose the best epoch, or training diverged.
        """
        started = {
            **start.facts,
            "tensors": tensor_digest(start.network),
            "layer_decay": self.settings.layer_decay,
        }
        name = run_fingerprint({**self.facts, "start": started, "stop": epochs})
        folder = RunFolder(self.scratch / name)
        task = VideoMambaTask(
            self.config,
            self.settings,
            start.network.to(self.group.device),
            self.splits,
            self.group,
            dtype=self.dtype,
            workers=self.workers,
        )
        plan = self._plan(start, epochs)
        before = task.validate()
        require_choice(before, plan, "Give val videos")
        record = fit(task, plan, folder, self.tensorboard / name, self.progress, self.group)
        self.group.barrier()  # the first process has written what all read from here on
        warn_of_harm(before, record, plan)
        facts = {**started, "steps": task.steps * record.epoch, "val_before": before}
        return Finished(record, before, facts, folder)

    def _plan(self, start: Start, epochs: int | None) -> Plan:
        config, processes = self.config, self.group.world
        several = f" in {processes} processes" if processes > 1 else ""
        select, lower = selected(config)
        return Plan(
            name="videomamba",
            title=f"train videomamba from {start.facts['start']}{several}",
            epochs=epochs or self.settings.epochs,
            patience=config.patience if epochs is None else 0,
            select=select,
            save_every=config.save_every if epochs is None else 0,
            hparams={**as_dict(config), "start": start.facts["start"]},
            lower_is_better=lower,
            section="train.videomamba",
            # Few videos have few accuracies to choose from.
            tie_break="val_loss" if config.select == "accuracy" else None,
        )


def selected(config: VideoMambaConfig) -> tuple[str, bool]:
    """The column that chooses the best epoch, and whether a lower value is better."""
    if config.select == "last":
        return "epoch", False
    return _SELECTED.get((config.task, config.select), ("val_loss", True))

"""The phases of a training: one, or two of which the second starts from the best of the first."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from pipeline_lib.backbones.retrieval_model import RetrievalModel
from pipeline_lib.config import TempMeStopConfig, as_dict
from pipeline_lib.runtime.distributed import Group
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.trainers.checkpoints import read_checkpoint
from pipeline_lib.trainers.loop import (
    Plan,
    fit,
    history_table,
    published_epochs,
    require_choice,
    warn_of_harm,
)
from pipeline_lib.trainers.resume import Record, Row, RunFolder, run_fingerprint
from pipeline_lib.trainers.tempme_stop.parts import (
    PARTS_OF,
    Adapters,
    phases_of,
    require_unchanged,
    sha256_of,
)
from pipeline_lib.trainers.tempme_stop.splits import Splits
from pipeline_lib.trainers.tempme_stop.task import TempMeStopTask

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finished:
    """A phase that is trained and not published yet.

    Attributes:
        phase: ``tempme_only``, ``stop_only`` or ``joint``.
        record: Its history.
        before: The ``val_…`` values of the model it started from.
        facts: JSON-able: what it started from and what it left alone.
        folder: Its checkpoints.
    """

    phase: str
    record: Record
    before: Row
    facts: dict[str, Any]
    folder: RunFolder

    def checkpoints(self) -> Iterator[tuple[str, dict[str, Tensor], dict[str, Any]]]:
        """Name, tensors and description of what is published: ``best``, ``final``, ``ep10`` …"""
        for name, epoch in published_epochs(self.record).items():
            yield name, *read_checkpoint(self.folder.checkpoint(epoch))

    def best(self) -> dict[str, Tensor]:
        """The tensors of the best epoch."""
        return _tensors(self.folder, self.record.best_epoch)


@dataclass(frozen=True, kw_only=True)
class Training:
    """What all phases of a training share.

    Attributes:
        config: The section ``train.tempme_stop``.
        model: The network, which each phase changes.
        splits: Training and validation captions.
        group: The processes that train together.
        dtype: Of the forward pass.
        facts: JSON-able: all that a result depends on.
        scratch: Holds the state of unfinished phases.
        tensorboard: Holds one directory of curves a phase.
        progress: Told of each epoch.
    """

    config: TempMeStopConfig
    model: RetrievalModel
    splits: Splits
    group: Group
    dtype: torch.dtype
    facts: Mapping[str, Any]
    scratch: Path
    tensorboard: Path
    progress: Progress = SILENT

    def run(self) -> list[Finished]:
        """Train all phases of the mode, or what is left of them.

        A phase that an earlier, killed training has finished is not trained again: its state says
        that it is finished.

        Raises:
            ConfigError: No val captions choose the best epoch, or training diverged.
            WeightsError: Something that is frozen has changed.
        """
        adapters = Adapters(self.model.network)
        finished: list[Finished] = []
        for phase in phases_of(self.config.mode):
            if finished:
                adapters.load_state(finished[-1].best())
            finished.append(self._train(phase, adapters))
        return finished

    def _train(self, phase: str, adapters: Adapters) -> Finished:
        start, frozen = sha256_of(adapters.state()), adapters.frozen_sha256(phase)
        name = run_fingerprint({**self.facts, "phase": phase, "start": start})
        folder = RunFolder(self.scratch / name)
        task = TempMeStopTask(
            self.config, phase, self.model, self.splits, self.group, dtype=self.dtype
        )
        plan = self._plan(phase)
        before = task.validate()
        require_choice(before, plan, "Raise train.tempme_stop.dataset.val_ratio")
        record = fit(task, plan, folder, self.tensorboard / name, self.progress, self.group)
        self.group.barrier()  # the first process has written what all read from here on
        warn_of_harm(before, record, plan)
        after = adapters.frozen_sha256(phase)
        require_unchanged(frozen, after)
        facts = {
            "mode": phase,
            "trained_parameters": adapters.count(phase),
            "steps": task.steps * record.epoch,
            "start_sha256": start,
            "best_sha256": sha256_of(_tensors(folder, record.best_epoch)),
            "frozen_sha256": {"before": frozen, "after": after},
            "val_before": before,
        }
        return Finished(phase, record, before, facts, folder)

    def _plan(self, phase: str) -> Plan:
        config, processes = self.config, self.group.world
        several = f" in {processes} processes" if processes > 1 else ""
        selects = {"last": "epoch", "loss": "val_loss", "r1": "val_t2v_r1"}
        return Plan(
            name="tempme_stop",
            title=f"train tempme_stop, {phase.replace('_', ' ')}{several}",
            epochs=config.epochs,
            patience=config.patience,
            select=selects[config.select],
            save_every=config.save_every,
            hparams={**as_dict(config), "phase": phase},
            lower_is_better=config.select == "loss",
            section="train.tempme_stop",
            lr=" and ".join(f"{part}_lr" for part in PARTS_OF[phase]),
            # Few captions have few recalls to choose from.
            tie_break="val_loss" if config.select == "r1" else None,
        )


def _tensors(folder: RunFolder, epoch: int) -> dict[str, Tensor]:
    return read_checkpoint(folder.checkpoint(epoch))[0]


def whole_history(phases: Sequence[Finished]) -> pd.DataFrame:
    """One row an epoch, counted on over the phases, which are numbered from 1."""
    tables, done = [], 0
    for number, finished in enumerate(phases, start=1):
        table = history_table(finished.record)
        table.insert(1, "phase", number)
        table["epoch"] += done
        done += len(table)
        tables.append(table)
    return pd.concat([table.astype(dict.fromkeys(_floats(table), float)) for table in tables])


def _floats(table: pd.DataFrame) -> list[str]:
    """All columns but the counted ones; one that is empty in a phase has no type of its own."""
    return [column for column in table.columns if column not in ("epoch", "phase")]

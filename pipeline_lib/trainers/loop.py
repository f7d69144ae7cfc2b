"""The part of training that every trainer shares: epochs, the best one, stopping, resuming."""

import logging
import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from torch import Tensor

from pipeline_lib.errors import ConfigError
from pipeline_lib.runtime.distributed import ALONE, Group
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.atomic import write_bytes, write_json
from pipeline_lib.storage.directories import claimed
from pipeline_lib.trainers.curves import Curves
from pipeline_lib.trainers.resume import Record, Row, RunFolder

logger = logging.getLogger(__name__)


class Task(Protocol):
    """A model in training, as the loop sees it."""

    def train_epoch(self, epoch: int) -> Row:
        """Train one epoch (from 1) and return its ``lr`` and ``train_…`` values."""

    def validate(self) -> Row:
        """The ``val_…`` values of the model as it is, and any ``Tag/name`` for TensorBoard."""

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint of the model as it is holds."""

    def describe(self, row: Row) -> dict[str, Any]:
        """The metadata of that checkpoint; ``row`` is the last epoch of the history."""

    def state(self) -> dict[str, Any]:
        """Everything needed to go on bit for bit, loadable with ``weights_only``."""

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a state."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long to train and what to keep.

    Attributes:
        name: The trainer, first part of every file name.
        title: What is trained, for the progress display.
        epochs: Most epochs.
        patience: Epochs without a strictly better ``select`` before stopping; 0 never stops.
        select: Column of the history that chooses the best epoch; ``epoch`` chooses the last.
        save_every: Epochs between checkpoints kept by number; 0 keeps none.
        hparams: Settings for TensorBoard's table.
        lower_is_better: Whether the best epoch has the lowest value there, not the highest.
        section: Where the parameters stand, for messages.
        lr: The parameters there that are too large where training diverges.
        tie_break: Column whose lower value decides between epochs that are equal in ``select``;
            ``None`` keeps the earlier one.
    """

    name: str
    title: str
    epochs: int
    patience: int
    select: str
    save_every: int
    hparams: Mapping[str, Any]
    lower_is_better: bool = False
    section: str = "train"
    lr: str = "lr"
    tie_break: str | None = None

    def finished(self, record: Record) -> bool:
        """Whether the run ends with the last epoch of ``record``."""
        waited = record.epoch - record.best_epoch
        return record.epoch >= self.epochs or 0 < self.patience <= waited

    def better(self, value: float, best: float) -> bool:
        """Whether a value of ``select`` beats the best so far; an equal one does not."""
        return value < best if self.lower_is_better else value > best


def fit(
    task: Task,
    plan: Plan,
    folder: RunFolder,
    tensorboard: Path,
    progress: Progress = SILENT,
    group: Group = ALONE,
) -> Record:
    """Train until the plan is fulfilled, from wherever an earlier, killed run has come to.

    Args:
        task: The model.
        plan: When to stop and what to keep.
        folder: State and checkpoints of this run, from before and from now on.
        tensorboard: Directory for the curves of this run alone.
        progress: Told of each epoch.
        group: The processes that train together. All read what was saved; only the first one
            writes, and the task sees to it that all get the same rows.

    Raises:
        ConfigError: The loss is not finite, or the selected metric is undefined.
        DataError: What was saved is damaged, or another run is at work on it.
    """
    record = Record()
    if earlier := folder.load():
        record, state = earlier
        task.load_state(state)
    group.barrier()  # nobody writes, or removes, what another still has to read
    with (
        claimed(folder.path, folder.path) if group.is_main else nullcontext(),
        Curves(tensorboard, record.history) if group.is_main else nullcontext() as curves,
        progress.task(plan.title, plan.epochs) as advance,
    ):
        advance(record.epoch)
        while not plan.finished(record):
            row, keep = _epoch(task, record, plan)
            if curves:
                tensors = task.tensors() if keep else None
                folder.save(record, task.state(), tensors, task.describe(row))
                curves.add(row)
            advance(note=_note(row, record, plan))
        if curves:
            curves.finish(plan.hparams, record)
    if record.epoch < plan.epochs:
        logger.info(
            "%s: stopped after epoch %d, no better %s since epoch %d",
            plan.title,
            record.epoch,
            plan.select,
            record.best_epoch,
        )
    return record


def fit_in_memory(task: Task, plan: Plan) -> tuple[Record, dict[str, Tensor]]:
    """Train until the plan is fulfilled, without files and without resuming.

    Args:
        task: The model; afterwards it is that of the last epoch.
        plan: When to stop; ``save_every`` is not used.

    Returns:
        The history, and :meth:`Task.tensors` of the best epoch.

    Raises:
        ConfigError: The loss is not finite, or the selected metric is undefined.
    """
    record = Record()
    best: dict[str, Tensor] = {}
    while not plan.finished(record):
        _epoch(task, record, plan)
        if record.best_epoch == record.epoch:
            best = {name: tensor.detach().clone() for name, tensor in task.tensors().items()}
    return record, best


def _epoch(task: Task, record: Record, plan: Plan) -> tuple[Row, bool]:
    """Train and measure one epoch; returns its row and whether its checkpoint is to be kept."""
    epoch = record.epoch + 1
    row: Row = {"epoch": epoch}
    row |= task.train_epoch(epoch)
    loss = row["train_loss"]
    if loss is None or not math.isfinite(loss):
        raise ConfigError(
            f"Training diverged in epoch {epoch}: the loss is {loss}.",
            hint=f"Lower {plan.section}.{plan.lr}.",
        )
    row |= task.validate()
    return row, _enter(row, record, plan)


def _note(row: Row, record: Record, plan: Plan) -> str:
    if plan.select == "epoch":
        return f"train_loss {row['train_loss']:.3f}"
    return f"{plan.select} {row[plan.select]:.3f}, best {record.best_value:.3f}"


def _enter(row: Row, record: Record, plan: Plan) -> bool:
    """Put an epoch into the record; returns whether its checkpoint is to be kept."""
    epoch, value = record.epoch + 1, row[plan.select]
    if value is None:
        raise ConfigError(f"{plan.select} is undefined in epoch {epoch}; no best can be chosen.")
    beats = _beats(row, value, record, plan)
    record.history.append(row)
    if beats:
        record.best_epoch, record.best_value = epoch, value
    if plan.save_every and epoch % plan.save_every == 0:
        record.periodic.append(epoch)
    return epoch in {record.best_epoch, *record.periodic} or plan.finished(record)


def _beats(row: Row, value: float, record: Record, plan: Plan) -> bool:
    if record.best_value is None or plan.better(value, record.best_value):
        return True
    if plan.tie_break is None or value != record.best_value:
        return False
    new, old = row[plan.tie_break], record.best[plan.tie_break]
    return new is not None and old is not None and new < old


def require_choice(before: Row, plan: Plan, remedy: str) -> None:
    """Refuse a training whose best epoch nothing could choose.

    Args:
        before: The ``val_…`` values of the model it starts from.
        plan: Its plan.
        remedy: What would define the selected metric.

    Raises:
        ConfigError: The selected metric is undefined.
    """
    if plan.select != "epoch" and before[plan.select] is None:
        raise ConfigError(
            f"{plan.section}.select: {plan.select} is undefined: no val item has what it needs.",
            hint=f"{remedy}, or set {plan.section}.select: last.",
        )


def warn_of_harm(before: Row, record: Record, plan: Plan) -> None:
    """Say where no epoch is as good as the model that training started from."""
    start, best = before.get(plan.select), record.best_value
    if start is not None and best is not None and plan.better(start, best):
        logger.warning(
            "no epoch reaches the %s of the model it started from: %.4f before, %.4f in epoch %d",
            plan.select,
            start,
            best,
            record.best_epoch,
        )


def write_outputs(record: Record, plan: Plan, folder: RunFolder, out: Path, config: Any) -> None:
    """Write a finished run's checkpoints and configuration.

    Args:
        record: What :func:`fit` returned.
        plan: The plan it was given.
        folder: The run's folder.
        out: A directory that is being made, so a file of an earlier run never stays in it.
        config: JSON-able content of ``config.json``.
    """
    for suffix, epoch in published_epochs(record).items():
        content = folder.checkpoint(epoch).read_bytes()
        write_bytes(out / f"{plan.name}_{suffix}.safetensors", content)
    write_json(out / "config.json", config)


def published_epochs(record: Record) -> dict[str, int]:
    """What a finished run publishes, ``ep10``, ``best`` and ``final``, and of which epoch."""
    periodic = {f"ep{epoch}": epoch for epoch in record.periodic}
    return periodic | {"best": record.best_epoch, "final": record.epoch}


def history_table(record: Record) -> pd.DataFrame:
    """One row an epoch, for DVC's plots; undefined values are empty."""
    table = pd.DataFrame(record.history)
    return table[[column for column in table.columns if "/" not in column]].astype({"epoch": int})

"""What a finished training of a VideoMamba leaves behind."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline_lib.backbones.videomamba_folder import save_videomamba
from pipeline_lib.storage.atomic import write_json
from pipeline_lib.storage.directories import replacing_directory
from pipeline_lib.trainers.checkpoints import read_checkpoint
from pipeline_lib.trainers.left_out import write_failures
from pipeline_lib.trainers.loop import history_table, published_epochs
from pipeline_lib.trainers.resume import Record
from pipeline_lib.trainers.videomamba.measuring import COLUMNS
from pipeline_lib.trainers.videomamba.runs import Finished
from pipeline_lib.trainers.videomamba.splits import Splits

CONTROL = "scratch"


def publish(
    finished: Finished,
    control: Finished | None,
    splits: Splits,
    facts: Mapping[str, Any],
    out: Path,
) -> None:
    """Replace ``out`` by a model folder for each published epoch, and what they are made from.

    Args:
        finished: The training.
        control: The same from random weights, published below ``scratch/``.
        splits: What they were trained on.
        facts: JSON-able: settings and origin, for ``config.json``.
        out: Gets ``best/``, ``final/``, ``ep…/``, ``config.json`` (``facts``, each training, and
            the epoch and val metrics of each model) and, where videos were left out,
            ``failures.csv``.
    """
    with replacing_directory(out) as made:
        told = {"training": _save_models(finished, facts, made)}
        if control is not None:
            told[CONTROL] = _save_models(control, facts, made / CONTROL)
        write_json(made / "config.json", {**facts, **told})
        write_failures(made, splits.missing)


def _save_models(finished: Finished, facts: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Write the models of one training; returns what is worth knowing of it."""
    checkpoints = {}
    for name, epoch in published_epochs(finished.record).items():
        tensors, described = read_checkpoint(finished.folder.checkpoint(epoch))
        model = {"classes": facts["classes"], "task": facts["task"], "dataset": facts["dataset"]}
        save_videomamba(folder / name, tensors, {**model, "training": described})
        checkpoints[name] = described
    return {**finished.facts, "checkpoints": checkpoints}


def whole_history(record: Record, control: Record | None, task: str) -> pd.DataFrame:
    """One row an epoch, with the losses and metrics of the control beside it.

    The control's columns are always there, so that plots find them; without it they are empty.
    """
    table = history_table(record)
    beside = history_table(control) if control is not None else pd.DataFrame()
    for column in ("train_loss", *COLUMNS[task]):
        table[f"{CONTROL}_{column}"] = beside.get(column)
    return table

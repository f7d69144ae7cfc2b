"""What a finished pretraining leaves behind."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline_lib.backbones.videomamba_folder import save_videomamba
from pipeline_lib.storage.atomic import write_json
from pipeline_lib.storage.directories import replacing_directory
from pipeline_lib.trainers.checkpoints import read_checkpoint
from pipeline_lib.trainers.left_out import write_failures
from pipeline_lib.trainers.loop import published_epochs
from pipeline_lib.trainers.resume import Record, RunFolder
from pipeline_lib.trainers.videomamba.splits import Splits


def publish(
    record: Record, folder: RunFolder, splits: Splits, facts: Mapping[str, Any], out: Path
) -> None:
    """Replace ``out`` by a model folder for each published epoch, and what they are made from.

    Args:
        record: The finished run.
        folder: Its checkpoints.
        splits: What it learned from.
        facts: JSON-able: settings and origin, for ``config.json``.
        out: Gets ``best/``, ``final/``, ``ep…/``, ``config.json`` (``facts``, and the epoch and
            val losses of each model) and, where videos were left out, ``failures.csv``.
    """
    checkpoints: dict[str, Any] = {}
    with replacing_directory(out) as made:
        for name, epoch in published_epochs(record).items():
            tensors, described = read_checkpoint(folder.checkpoint(epoch))
            checkpoints[name] = described
            model = {"task": "pretraining", "dataset": facts["dataset"], "training": described}
            save_videomamba(made / name, tensors, model)
        write_json(made / "config.json", {**facts, "checkpoints": checkpoints})
        write_failures(made, splits.missing)

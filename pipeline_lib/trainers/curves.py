"""A run's curves for TensorBoard, as plain scalars: one writer and one file a run."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from pipeline_lib.trainers.resume import Record, Row


class Curves:
    """Writes rows of the history as scalars; a context manager.

    A resumed run writes its earlier epochs again, so a curve has each epoch exactly once.

    Args:
        directory: Of this run alone; emptied first.
        history: Rows of the epochs that were trained before.
    """

    def __init__(self, directory: Path, history: list[Row]) -> None:
        shutil.rmtree(directory, ignore_errors=True)
        self._writer = SummaryWriter(str(directory))
        for row in history:
            self.add(row)

    def add(self, row: Row) -> None:
        """Add the values of one epoch; undefined ones leave a gap."""
        epoch = int(row["epoch"] or 0)
        for column, value in row.items():
            if column != "epoch" and value is not None:
                self._writer.add_scalar(scalar_tag(column), value, epoch)
        self._writer.flush()

    def finish(self, hparams: Mapping[str, Any], record: Record) -> None:
        """Add the run to TensorBoard's table of hyper-parameters."""
        plain = {
            name: value if isinstance(value, (int, float, str, bool)) else str(value)
            for name, value in hparams.items()
        }
        best = {
            f"best/{column}": value
            for column, value in record.best.items()
            if value is not None and column.startswith(("epoch", "val_"))
        }
        self._writer.add_hparams(plain, best, run_name=".")

    def __enter__(self) -> "Curves":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()


def scalar_tag(column: str) -> str:
    """``val_balanced_accuracy`` is ``BalancedAccuracy/val``, ``lr`` is ``LR``.

    Without a split it is the name alone: ``grad_norm`` is ``GradNorm``. A column with a slash is
    a tag already.
    """
    if "/" in column:
        return column
    split, _, metric = column.partition("_")
    if not metric:
        return column.upper()
    if split not in ("train", "val"):
        return column.title().replace("_", "")
    return f"{metric.title().replace('_', '')}/{split}"

"""Evaluation of trained models, each metric beside its controls.

An evaluator is one module and one line here; its name is that of its trainer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pipeline_lib.config import Params
from pipeline_lib.registry import Registry
from pipeline_lib.runtime.progress import Progress

SPLITS = ("val", "test")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to evaluate; ``None`` stands for the pipeline's own file.

    Attributes:
        checkpoint: A trained model, a file or a folder as its trainer writes it.
        windows: Folder of the packed windows it is evaluated on, for a model of windows.
        splits: Which splits; plots show the last.
    """

    checkpoint: Path | None = None
    windows: Path | None = None
    splits: tuple[str, ...] = SPLITS


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Where an evaluation is written.

    Attributes:
        metrics: JSON file of numbers.
        plots: Directory of CSV files for DVC's plots and of pictures.
        tables: Directory of predictions.
    """

    metrics: Path
    plots: Path
    tables: Path

    @classmethod
    def of_pipeline(cls, name: str) -> "Outputs":
        """The places that ``dvc.yaml`` declares for the model ``name``."""
        return cls(
            metrics=Path("metrics") / f"{name}.json",
            plots=Path("metrics") / "plots" / name,
            tables=Path("data") / "evaluation" / name,
        )

    @classmethod
    def under(cls, folder: Path, name: str) -> "Outputs":
        """Everything below one folder, apart from the pipeline's own outputs."""
        return cls(metrics=folder / f"{name}.json", plots=folder / "plots", tables=folder)


class Evaluation(Protocol):
    """A finished evaluation.

    Attributes:
        metrics: Nested names to numbers, ``None`` where undefined; see ``pipeline_lib.summary``.
    """

    metrics: dict[str, Any]

    def write(self, outputs: Outputs) -> None:
        """Write metrics, plots and predictions."""

    def raise_failures(self, outputs: Outputs | None) -> None:
        """Turn items that could not be measured into the error a command ends with.

        Args:
            outputs: Where :meth:`write` wrote; ``None`` where nothing was written.

        Raises:
            BatchError: There are such items; all others are measured.
        """


Evaluator = Callable[[Params, Request, Progress], Evaluation]

EVALUATORS: Registry[Evaluator] = Registry(
    "evaluator",
    {
        "coop": "pipeline_lib.evaluation.coop.evaluate:evaluate_coop",
        "pos_neg": "pipeline_lib.evaluation.pos_neg.evaluate:evaluate_pos_neg",
        "tempme_stop": "pipeline_lib.evaluation.tempme_stop.evaluate:evaluate_tempme_stop",
        "videomamba": "pipeline_lib.evaluation.videomamba.evaluate:evaluate_videomamba",
    },
)

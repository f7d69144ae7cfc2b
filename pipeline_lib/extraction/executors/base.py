"""What every executor gets, and what it gives back."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline_lib.backbones.loading import load_backbone
from pipeline_lib.config import ExtractConfig, RuntimeConfig
from pipeline_lib.extraction.engine import Outcome, Work
from pipeline_lib.extraction.output import Output


@dataclass(frozen=True)
class Settings:
    """A run in a form that another process or machine can build again.

    Attributes:
        names: The backbones, in the order that ``Work.outputs`` counts.
        config: Their sections, grid and decoder.
        runtime: How the machine runs the work.
        root: Features go to ``root / name``.
    """

    names: tuple[str, ...]
    config: ExtractConfig
    runtime: RuntimeConfig
    root: Path

    def load_outputs(self) -> list[Output]:
        """Load every backbone.

        Raises:
            ConfigError: A backbone is unknown or has no section.
            WeightsError: Weights are missing or do not fit.
        """
        return [
            Output(
                name,
                load_backbone(name, self.config, self.runtime),
                self.config,
                self.root / name,
            )
            for name in self.names
        ]


@dataclass(frozen=True)
class Run:
    """A run with its networks loaded.

    Attributes:
        settings: What it was built from.
        outputs: One for each of ``settings.names``.
    """

    settings: Settings
    outputs: Sequence[Output]


class Executor(Protocol):
    """Turns work into outcomes, each as soon as its features are written, in any order.

    A video that cannot be used, even one that kills whatever touches it, is an outcome with a
    reason; only a bug or a failing machine raises.
    """

    def __call__(self, run: Run, work: Sequence[Work]) -> Generator[Outcome, None, None]:
        """Do ``work``; closing the iterator stops it."""

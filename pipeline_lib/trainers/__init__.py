"""Training. A trainer is one module and one line here."""

from pathlib import Path
from typing import Protocol

from pipeline_lib.config import Params
from pipeline_lib.registry import Registry
from pipeline_lib.runtime.progress import Progress


class Trainer(Protocol):
    """Trains one model of the pipeline."""

    def __call__(self, params: Params, *, scratch: Path, progress: Progress) -> str:
        """Train on what the stages before have made, and write the model.

        Args:
            params: All of ``params.yaml``.
            scratch: Where the state of unfinished runs is kept.
            progress: Told of each epoch.

        Returns:
            One line that says what was written; empty in a process that wrote nothing.
        """


TRAINERS: Registry[Trainer] = Registry(
    "trainer",
    {
        "coop": "pipeline_lib.trainers.coop.training:train",
        "pos_neg": "pipeline_lib.trainers.pos_neg.training:train",
        "tempme_stop": "pipeline_lib.trainers.tempme_stop.training:train",
        "videomamba": "pipeline_lib.trainers.videomamba.training:train",
        "videomamba_pretrain": "pipeline_lib.trainers.videomamba_pretrain.training:train",
    },
)

"""The state of an unfinished run, kept so that a killed one goes on bit for bit.

A run's folder is named by everything its result depends on, so a run with other settings, data
or code never finds it. It holds ``last.pt`` and one checkpoint for each epoch worth keeping; a
checkpoint is written before the state that mentions it, so the two always agree.
"""

import logging
import pickle
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline_lib.errors import DataError
from pipeline_lib.fingerprint import fingerprint, sha256_file
from pipeline_lib.storage.atomic import replacing
from pipeline_lib.trainers.checkpoints import write_checkpoint

logger = logging.getLogger(__name__)

Row = dict[str, float | None]

# Sub-packages whose code decides what a trained model is.
_CODE = ("trainers", "backbones", "networks", "datasets", "metrics", "video", "runtime")


@dataclass
class Record:
    """How far a run has come.

    Attributes:
        history: One row an epoch.
        best_epoch: Epoch with the best selected metric so far, 0 before the first.
        best_value: That metric.
        periodic: Epochs whose checkpoints are kept by number.
    """

    history: list[Row] = field(default_factory=list)
    best_epoch: int = 0
    best_value: float | None = None
    periodic: list[int] = field(default_factory=list)

    @property
    def epoch(self) -> int:
        """The last finished epoch."""
        return len(self.history)

    @property
    def best(self) -> Row:
        """The best epoch's row."""
        return self.history[self.best_epoch - 1]

    @property
    def kept(self) -> set[int]:
        """Epochs whose checkpoints are still needed."""
        return {self.best_epoch, self.epoch, *self.periodic}


class RunFolder:
    """Where one run keeps its state and its checkpoints until it has finished."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def checkpoint(self, epoch: int) -> Path:
        """The checkpoint of an epoch."""
        return self.path / f"ep{epoch}.safetensors"

    def save(
        self,
        record: Record,
        state: Mapping[str, Any],
        tensors: Mapping[str, Tensor] | None,
        metadata: Mapping[str, Any],
    ) -> None:
        """Save the end of an epoch; afterwards a kill costs at most the next one.

        Args:
            record: Up to and with this epoch.
            state: What the model, the optimizer and the rest need to go on.
            tensors: The checkpoint of this epoch, or ``None`` where none is wanted.
            metadata: The checkpoint's description.
        """
        if tensors is not None:
            write_checkpoint(self.checkpoint(record.epoch), tensors, metadata)
        content = {"record": asdict(record), "state": dict(state), "random": _random_state()}
        with replacing(self.path / "last.pt") as temporary:
            torch.save(content, temporary)
        wanted = {self.checkpoint(epoch) for epoch in record.kept}
        for path in set(self.path.glob("ep*.safetensors")) - wanted:
            path.unlink()

    def load(self) -> tuple[Record, dict[str, Any]] | None:
        """What :meth:`save` saved last, with torch's generators put back; ``None`` at the start.

        Raises:
            DataError: The state is there but damaged.
        """
        path = self.path / "last.pt"
        if not path.is_file():
            return None
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
            raise DataError(
                f"{path}: the state of an unfinished run is damaged "
                f"({str(error).splitlines()[0]}).",
                hint=f"Delete {self.path} to start that run anew.",
            ) from None
        record = Record(**content["record"])
        _restore_random_state(content["random"])
        logger.info("resuming after epoch %d (%s)", record.epoch, path)
        return record, content["state"]

    def discard(self) -> None:
        """Remove everything; the run's results are where they belong."""
        shutil.rmtree(self.path, ignore_errors=True)


def run_fingerprint(settings: Mapping[str, Any]) -> str:
    """A name for a run: settings and data hashes, and the code and torch version that train.

    Args:
        settings: JSON-able: everything else the result depends on.
    """
    root = Path(__file__).parent.parent
    sources = [path for package in _CODE for path in sorted((root / package).rglob("*.py"))]
    code = [sha256_file(path) for path in sources]
    return fingerprint({"settings": settings, "code": code, "torch": torch.__version__})


def _random_state() -> dict[str, Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def _restore_random_state(state: Mapping[str, Any]) -> None:
    torch.set_rng_state(state["cpu"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])

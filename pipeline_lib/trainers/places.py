"""Where a trainer of videos reads and writes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, kw_only=True)
class VideoPlaces:
    """Inputs and outputs of one training on videos.

    Attributes:
        data_root: Folder that paths of the data set fall back to.
        out: A model folder for each published epoch, and ``config.json``.
        history: CSV of the epochs.
        tensorboard: Holds one directory a run; part of no result.
        scratch: Holds the state of unfinished runs.
        frames: Holds scaled frames, which any run may share.
    """

    data_root: Path
    out: Path
    history: Path
    tensorboard: Path
    scratch: Path
    frames: Path

    @classmethod
    def of(cls, trainer: str, data_root: str, scratch: Path) -> Self:
        """The pipeline's own places of a trainer.

        Args:
            trainer: Its registered name.
            data_root: As in params.yaml.
            scratch: Holds everything that a killed run goes on from.
        """
        return cls(
            data_root=Path(data_root),
            out=Path("data/models") / trainer,
            history=Path("metrics/plots") / trainer / "history.csv",
            tensorboard=Path("data/tensorboard") / trainer,
            scratch=scratch,
            frames=scratch / "frames",
        )

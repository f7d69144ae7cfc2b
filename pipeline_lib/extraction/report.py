"""What a run did, for its caller and for the failure table."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline_lib.errors import BatchError
from pipeline_lib.extraction.plan import FAILURES
from pipeline_lib.storage.tables import write_csv


@dataclass
class ExtractionReport:
    """What a run did for one backbone.

    Attributes:
        backbone: Its name.
        directory: Where the features are.
        extracted: Ids extracted now, sorted at the end of the run.
        kept: Ids whose features were still right.
        pruned: Ids whose features were removed, because their video is gone.
        samples: Frames or clips that went through the network now.
        failures: Rows ``video, file, reason, message`` of videos without features.
    """

    backbone: str
    directory: Path
    extracted: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    pruned: list[str] = field(default_factory=list)
    samples: int = 0
    failures: list[dict[str, str]] = field(default_factory=list)

    def fail(self, video_id: str, path: Path, reason: str, message: str) -> None:
        """Add a row to the failure table."""
        row = {"video": video_id, "file": path.name, "reason": reason, "message": message}
        self.failures.append(row)

    def write_failures(self) -> None:
        """Write ``failures.csv``, or remove an old one where nothing failed."""
        table = self.directory / FAILURES
        self.failures.sort(key=lambda row: (row["video"], row["file"]))
        if self.failures:
            write_csv(table, pd.DataFrame(self.failures))
        else:
            table.unlink(missing_ok=True)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-able facts."""
        return {
            "backbone": self.backbone,
            "directory": str(self.directory),
            "extracted": len(self.extracted),
            "samples": self.samples,
            "kept": len(self.kept),
            "pruned": len(self.pruned),
            "failures": self.failures,
        }

    def raise_failures(self) -> None:
        """Turn failures into the error a batch ends with.

        Raises:
            BatchError: Some videos failed; all others are extracted.
        """
        if self.failures:
            first = self.failures[0]
            total = len(self.extracted) + len(self.kept) + len(self.failures)
            raise BatchError(
                f"{len(self.failures)} of {total} videos could not be extracted, first: "
                f"{first['message']}",
                hint=f"All are listed in {self.directory / FAILURES}. Repair or remove them, or "
                "list them under data.exclude in params.yaml; finished videos are not redone.",
            )

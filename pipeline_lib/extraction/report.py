"""What a run did, for its caller and for the failure table."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline_lib.errors import BatchError
from pipeline_lib.extraction.plan import FAILURES
from pipeline_lib.storage.features import SUFFIXES, remove_features
from pipeline_lib.storage.tables import write_csv
from pipeline_lib.video.files import VideoFile

# What file systems allow a name.
_NAME_BYTES = 255


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

    def fit(self, videos: Sequence[VideoFile], ambiguous: Sequence[VideoFile]) -> list[VideoFile]:
        """The videos whose features can be named; the others become failures.

        Args:
            videos: Files with an id of their own.
            ambiguous: Files that share an id; features that stand under it are removed.
        """
        for video in ambiguous:
            remove_features(self.directory, video.id)
            text = f"{video.path}: another file has the same name, suffix and Unicode form aside."
            self.fail(video.id, video.path, "ambiguous_name", text)
        for video in videos:
            if _too_long(video.id):
                text = f"{video.path}: the name leaves no room for the suffix of its features."
                self.fail(video.id, video.path, "name_too_long", text)
        return [video for video in videos if not _too_long(video.id)]

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


def _too_long(video_id: str) -> bool:
    longest = max(len(suffix) for suffix in SUFFIXES)
    return len(os.fsencode(video_id.rsplit("/", 1)[-1])) + longest > _NAME_BYTES

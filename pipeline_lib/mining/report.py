"""What mining found: tables, counts, and the failures a run ends with."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from math import fsum
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline_lib.datasets.questions import Question
from pipeline_lib.errors import BatchError
from pipeline_lib.mining.items import Unmined
from pipeline_lib.storage.tables import write_csv, write_parquet

TABLE = "mined.parquet"
FAILURES = "failures.csv"
SKIPPED = "skipped.csv"
TRUE, NEGATIVE = "true", "neg"
# Segment of a true frame: it was asked for, not searched.
NO_SEGMENT = -1


@dataclass(frozen=True)
class MinedFrame:
    """One saved frame, one row of ``mined.parquet``.

    Attributes:
        id: The item.
        kind: ``true`` or ``neg``.
        segment: Part of the timeline a negative was drawn from; -1 for a true frame.
        path: The PNG, relative to the mined directory, forward slashes.
        video_path: As the question file has it.
        source_index: Index among the presented frames of the video.
        pts_s: When the frame is first shown, seconds since the first frame.
        requested_s: The support time of a true frame, the earliest of several; else ``None``.
        max_cosine: Largest cosine of a negative to a true frame of its item; else ``None``.
        question: The words of the item.
    """

    id: str
    kind: str
    segment: int
    path: str
    video_path: str
    source_index: int
    pts_s: float
    requested_s: float | None
    max_cosine: float | None
    question: str


@dataclass(frozen=True)
class MinedItem:
    """The frames of one item.

    Attributes:
        question: The item.
        frames: True frames, then negatives, each in the order of time.
        drawn_cosines: Largest cosine to a true frame of every candidate, kept or not.
        empty_segments: Parts of the timeline that gave no negative.
    """

    question: Question
    frames: tuple[MinedFrame, ...]
    drawn_cosines: tuple[float, ...]
    empty_segments: tuple[int, ...]

    def of_kind(self, kind: str) -> list[MinedFrame]:
        """The ``true`` or ``neg`` frames."""
        return [frame for frame in self.frames if frame.kind == kind]


@dataclass
class MiningReport:
    """What a run did.

    Attributes:
        mined: Items with frames.
        skipped: Items that have none by the user's own words; no failures.
        failures: Items that could not be mined.
    """

    mined: list[MinedItem] = field(default_factory=list)
    skipped: list[Unmined] = field(default_factory=list)
    failures: list[Unmined] = field(default_factory=list)

    @property
    def items(self) -> int:
        """All items of the question file."""
        return len(self.mined) + len(self.skipped) + len(self.failures)

    def frames(self, kind: str) -> list[MinedFrame]:
        """All ``true`` or ``neg`` frames."""
        return [frame for item in self.mined for frame in item.of_kind(kind)]

    def write_tables(self, directory: Path) -> None:
        """Write ``mined.parquet``, and the lists of skipped and failed items where there are any.

        Rows are sorted by item, so that the order of the question file does not matter.
        """
        rows = [
            asdict(frame)
            for item in sorted(self.mined, key=lambda item: item.question.id)
            for frame in item.frames
        ]
        table = pd.DataFrame(rows, columns=[column.name for column in fields(MinedFrame)])
        write_parquet(directory / TABLE, table.astype(_TYPES))
        for name, unmined in ((SKIPPED, self.skipped), (FAILURES, self.failures)):
            if unmined:
                ordered = sorted(unmined, key=lambda row: row.id)
                write_csv(directory / name, pd.DataFrame(map(asdict, ordered)))

    def metrics(self) -> dict[str, Any]:
        """Counts, and the mean cosine of the negatives beside that of all drawn candidates.

        The control ``random`` is every candidate before the threshold: its distance to the
        negatives is what the threshold did.
        """
        negatives = self.frames(NEGATIVE)
        kept = [frame.max_cosine for frame in negatives if frame.max_cosine is not None]
        drawn = [cosine for item in self.mined for cosine in item.drawn_cosines]
        return {
            "items": self.items,
            "items_mined": len(self.mined),
            "items_failed": len(self.failures),
            "items_without_support": sum(row.reason == "no_support_frames" for row in self.skipped),
            "items_excluded": sum(row.reason == "excluded" for row in self.skipped),
            "true_frames": len(self.frames(TRUE)),
            "neg_frames": len(negatives),
            "segments_without_negative": sum(len(item.empty_segments) for item in self.mined),
            "negatives": {
                "mean_cosine": _mean(kept),
                "control": {"random": {"mean_cosine": _mean(drawn)}},
            },
        }

    def raise_failures(self, directory: Path) -> None:
        """Turn failures into the error a batch ends with.

        Args:
            directory: Where :meth:`write_tables` wrote.

        Raises:
            BatchError: Some items failed; all others are mined.
        """
        if self.failures:
            first = min(self.failures, key=lambda row: row.id)
            raise BatchError(
                f"{len(self.failures)} of {self.items} items could not be mined, first: "
                f"{first.message}",
                hint=f"All are listed in {directory / FAILURES}. Correct them in qa.json, or list "
                "unusable videos under data.exclude in params.yaml; the other items are mined.",
            )


_TYPES = {
    "id": "str",
    "kind": "str",
    "segment": "int64",
    "path": "str",
    "video_path": "str",
    "source_index": "int64",
    "pts_s": "float64",
    "requested_s": "float64",
    "max_cosine": "float64",
    "question": "str",
}


def _mean(values: Sequence[float]) -> float | None:
    # fsum is exact, so the mean does not depend on the order of the items.
    return fsum(values) / len(values) if values else None

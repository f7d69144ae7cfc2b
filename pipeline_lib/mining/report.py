"""What mining found: tables, counts, and the failures a run ends with."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from math import fsum
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from pipeline_lib.datasets.mined import (
    EXCLUDED,
    FAILED,
    FRAMES,
    ITEMS,
    MINED,
    NEGATIVE,
    NO_SUPPORT_FRAMES,
    TRUE,
)
from pipeline_lib.datasets.questions import ItemFault, Question
from pipeline_lib.errors import BatchError
from pipeline_lib.storage.tables import write_csv, write_parquet

FAILURES = "failures.csv"
SKIPPED = "skipped.csv"
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
        source_index: Index among the frames of the video.
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


@dataclass(frozen=True)
class ItemRecord:
    """What became of one item of the question file, one row of ``items.parquet``.

    Attributes:
        id: The item; empty where the file has no usable one.
        line: Of the question file, from 1.
        video_path: As the question file has it.
        video_sha256: Of the video's bytes; empty where it was not read.
        question: The words.
        choices: The possible answers.
        support_frames: Seconds, ascending, distinct, after the policies for times.
        status: One of :data:`~pipeline_lib.datasets.mined.STATUSES`.
        reason: A short stable word why there are no frames; empty where there are.
        message: The same for people, naming the line.
    """

    id: str
    line: int
    video_path: str
    video_sha256: str
    question: str
    choices: tuple[str, ...]
    support_frames: tuple[float, ...]
    status: str
    reason: str
    message: str

    @classmethod
    def of_fault(cls, fault: ItemFault) -> "ItemRecord":
        """An item that the question file already has wrong."""
        place = (fault.id, fault.line, fault.video_path)
        return cls(*place, "", "", (), (), FAILED, fault.reason, fault.message)


@dataclass
class MiningReport:
    """What a run did.

    Attributes:
        records: One for every item of the question file.
        mined: Those with frames.
        times_clamped: Support times that a policy moved into the video.
        times_dropped: Support times that a policy left out.
    """

    records: list[ItemRecord] = field(default_factory=list)
    mined: list[MinedItem] = field(default_factory=list)
    times_clamped: int = 0
    times_dropped: int = 0

    def add(self, part: "MiningReport") -> None:
        """Take over what ``part`` found in other videos."""
        self.records += part.records
        self.mined += part.mined
        self.times_clamped += part.times_clamped
        self.times_dropped += part.times_dropped

    @property
    def failures(self) -> list[ItemRecord]:
        """Items that could not be mined, sorted."""
        return _sorted(record for record in self.records if record.status == FAILED)

    @property
    def skipped(self) -> list[ItemRecord]:
        """Items that have no frames by the user's own words, sorted; no failures."""
        skipped = (NO_SUPPORT_FRAMES, EXCLUDED)
        return _sorted(record for record in self.records if record.status in skipped)

    def frames(self, kind: str) -> list[MinedFrame]:
        """All ``true`` or ``neg`` frames."""
        return [frame for item in self.mined for frame in item.of_kind(kind)]

    def write_tables(self, directory: Path) -> None:
        """Write both tables, and the lists of skipped and failed items where there are any.

        Rows are sorted by item, so that the order of the question file does not matter.
        """
        mined = sorted(self.mined, key=lambda item: item.question.id)
        frames = [asdict(frame) for item in mined for frame in item.frames]
        write_parquet(directory / FRAMES, _table(MinedFrame, frames), _FRAME_TYPES)
        records = [asdict(record) for record in _sorted(self.records)]
        write_parquet(directory / ITEMS, _table(ItemRecord, records), _ITEM_TYPES)
        for name, listed in ((SKIPPED, self.skipped), (FAILURES, self.failures)):
            if listed:
                columns = ["id", "line", "video_path", "reason", "message"]
                write_csv(directory / name, pd.DataFrame(map(asdict, listed))[columns])

    def metrics(self) -> dict[str, Any]:
        """Counts, and the mean cosine of the negatives beside that of all drawn candidates.

        The control ``random`` is every candidate before the threshold: its distance to the
        negatives is what the threshold and the strategy did.
        """
        negatives = self.frames(NEGATIVE)
        kept = [frame.max_cosine for frame in negatives if frame.max_cosine is not None]
        drawn = [cosine for item in self.mined for cosine in item.drawn_cosines]
        statuses = Counter(record.status for record in self.records)
        return {
            "items": len(self.records),
            "items_mined": statuses[MINED],
            "items_failed": statuses[FAILED],
            "items_without_support": statuses[NO_SUPPORT_FRAMES],
            "items_excluded": statuses[EXCLUDED],
            "failed_because": dict(sorted(Counter(row.reason for row in self.failures).items())),
            "times_clamped": self.times_clamped,
            "times_dropped": self.times_dropped,
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
            first = min(self.failures, key=lambda row: row.line)
            raise BatchError(
                f"{len(self.failures)} of {len(self.records)} items could not be mined, first: "
                f"{first.message}",
                hint=f"All are listed in {directory / FAILURES}; the other items are mined. "
                "Correct them, list unusable videos under data.exclude in params.yaml, or set "
                "mine.on_failure: list to go on without them.",
            )


_FRAME_TYPES = pa.schema(
    {
        "id": pa.string(),
        "kind": pa.string(),
        "segment": pa.int64(),
        "path": pa.string(),
        "video_path": pa.string(),
        "source_index": pa.int64(),
        "pts_s": pa.float64(),
        "requested_s": pa.float64(),
        "max_cosine": pa.float64(),
        "question": pa.string(),
    }
)
_ITEM_TYPES = pa.schema(
    {
        "id": pa.string(),
        "line": pa.int64(),
        "video_path": pa.string(),
        "video_sha256": pa.string(),
        "question": pa.string(),
        "choices": pa.list_(pa.string()),
        "support_frames": pa.list_(pa.float64()),
        "status": pa.string(),
        "reason": pa.string(),
        "message": pa.string(),
    }
)


def _table(row: type[MinedFrame | ItemRecord], rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[column.name for column in fields(row)])


def _sorted(records: Iterable[ItemRecord]) -> list[ItemRecord]:
    return sorted(records, key=lambda record: (record.id, record.line))


def _mean(values: Sequence[float]) -> float | None:
    # fsum is exact, so the mean does not depend on the order of the items.
    return fsum(values) / len(values) if values else None

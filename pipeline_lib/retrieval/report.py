"""What a run of embedding did: for its caller, the failure table and the summary."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline_lib.errors import BatchError
from pipeline_lib.retrieval.written import SUMMARY
from pipeline_lib.storage.atomic import write_json
from pipeline_lib.storage.tables import write_csv

FAILURES = "failures.csv"


@dataclass(frozen=True)
class Failure:
    """A video without an embedding.

    Attributes:
        video: The name its embedding would have.
        file: Its path below the source.
        reason: A short stable word: that of a ``VideoError``, ``bad_name``, ``name_too_long`` or
            ``no_embedding``.
        message: The same for people.
    """

    video: str
    file: str
    reason: str
    message: str


@dataclass
class EmbedReport:
    """What a run did.

    Attributes:
        out: The folder of embeddings.
        source: The folder of videos, as the user named it.
        dim: D.
        names: Of all videos that have an embedding now, sorted, with their paths below the source.
        seconds: Of those that were embedded now.
        embedded: How many that are.
        kept: How many were right already.
        pruned: How many were removed, because their video is gone.
        failures: The others.
    """

    out: Path
    source: str
    dim: int
    names: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    embedded: int = 0
    kept: int = 0
    pruned: int = 0
    failures: list[Failure] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Videos that were asked for."""
        return len(self.names) + len(self.failures)

    def video_path(self, relative: str) -> str:
        """The path of a video, as the user would name it."""
        return str(Path(self.source) / relative)

    def line(self) -> str:
        """For people."""
        return (
            f"{self.out}: {self.embedded} embedded, {self.kept} kept, {self.pruned} pruned, "
            f"{len(self.failures)} failed"
        )

    def as_dict(self) -> dict[str, Any]:
        """The summary, with what this run did."""
        done = {"embedded": self.embedded, "kept": self.kept, "pruned": self.pruned}
        return {**self.summary(read_times(self.out)), **done}

    def summary(self, times: Mapping[str, float | None]) -> dict[str, Any]:
        """As ``processing_summary.json`` has it.

        Args:
            times: Seconds by video path that an earlier run measured.
        """
        failed = sorted(self.failures, key=lambda failure: failure.file)
        results: list[dict[str, Any]] = []
        for name, relative in sorted(self.names.items()):
            path = self.video_path(relative)
            seconds = self.seconds.get(name, times.get(path))
            results.append(_result(path, [self.dim], seconds, None))
        for failure in failed:
            # No time: it would differ on every run that tries again.
            path = self.video_path(failure.file)
            results.append(_result(path, None, None, f"{failure.reason}: {failure.message}"))
        return {
            "status": "success" if not failed else "partial" if self.names else "failed",
            "total_videos": self.total,
            "processed": len(self.names),
            "failed": len(failed),
            "results": results,
            "failed_videos": [self.video_path(failure.file) for failure in failed],
        }

    def write_failures(self) -> None:
        """Write ``failures.csv``, or remove an old one where nothing failed."""
        table = self.out / FAILURES
        self.failures.sort(key=lambda failure: failure.file)
        if self.failures:
            write_csv(table, pd.DataFrame([vars(failure) for failure in self.failures]))
        else:
            table.unlink(missing_ok=True)

    def write_summary(self) -> None:
        """Write ``processing_summary.json``; what was kept has the time of the run that made it."""
        times = read_times(self.out)
        write_json(self.out / SUMMARY, self.summary(times))

    def raise_failures(self) -> None:
        """Turn failures into the error a batch ends with.

        Raises:
            BatchError: Some videos failed; all others are embedded.
        """
        if self.failures:
            raise BatchError(
                f"{len(self.failures)} of {self.total} videos could not be embedded, first: "
                f"{self.failures[0].message}",
                hint=f"All are listed in {self.out / FAILURES}; the other videos are done and are "
                "not embedded again.",
            )


def read_times(out: Path) -> dict[str, float | None]:
    """Seconds by video path that an earlier summary names; empty where there is none."""
    try:
        content = json.loads((out / SUMMARY).read_text(encoding="utf-8"))
        return {one["video_path"]: one["processing_time"] for one in content["results"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _result(
    path: str, shape: Sequence[int] | None, seconds: float | None, error: str | None
) -> dict[str, Any]:
    return {
        "video_path": path,
        "embedding_shape": shape,
        "processing_time": None if seconds is None else round(seconds, 3),
        "status": "success" if error is None else "failed",
        "error": error,
    }

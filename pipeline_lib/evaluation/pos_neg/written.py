"""What an evaluation leaves on disk beside its numbers and plots."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline_lib.evaluation.pos_neg.watching import MeasuredItem
from pipeline_lib.storage.atomic import replacing
from pipeline_lib.storage.tables import write_csv

FAILURES = "failures.csv"


@dataclass(frozen=True)
class Failure:
    """An item that could not be measured.

    Attributes:
        id: The item.
        video_path: As the question file has it.
        reason: A short stable word: one of :class:`~pipeline_lib.errors.VideoError`.
        message: The same for people.
    """

    id: str
    video_path: str
    reason: str
    message: str


def write_items(folder: Path, measured: Sequence[MeasuredItem], counts: Sequence[int]) -> None:
    """Write ``items.parquet``: one row an item, chooser and draw, from which all metrics follow.

    Columns: ``id``, ``split``, ``video_path``, ``video_sha256``, ``caption``, ``chooser``,
    ``draw``, ``recall_at_<k>``, ``precision_at_<k>``, ``weakest_match`` (the largest m of Sim-m at
    which the item counts), and of the frames that were compared the lists ``source_index``,
    ``time_s`` and ``score`` (null where nobody looked at the video).

    Args:
        folder: Where to.
        measured: Items of all splits.
        counts: Numbers of chosen frames at which recall was measured.
    """
    table = pa.Table.from_pylist(list(_rows(measured, counts)), schema=_schema(counts))
    with replacing(folder / "items.parquet") as temporary:
        pq.write_table(table, temporary)


def write_failures(folder: Path, failures: Sequence[Failure]) -> None:
    """Write ``failures.csv``, or take away an older one where nothing failed."""
    if failures:
        rows = sorted(failures, key=lambda failure: failure.id)
        write_csv(folder / FAILURES, pd.DataFrame([vars(row) for row in rows]))
    else:
        (folder / FAILURES).unlink(missing_ok=True)


def _rows(measured: Sequence[MeasuredItem], counts: Sequence[int]) -> Iterator[dict[str, Any]]:
    for one in measured:
        of_item = {
            "id": one.item.id,
            "split": one.item.split,
            "video_path": one.item.video_path,
            "video_sha256": one.item.video,
            "caption": one.item.caption,
        }
        for frames in one.chosen:
            yield {
                **of_item,
                "chooser": frames.chooser,
                "draw": frames.draw,
                **{f"recall_at_{k}": frames.recall[k] for k in counts},
                **{f"precision_at_{k}": frames.precision[k] for k in counts},
                "weakest_match": frames.weakest_match,
                "source_index": frames.source_index.tolist(),
                "time_s": frames.pts_s.tolist(),
                "score": None if frames.scores is None else frames.scores.tolist(),
            }


def _schema(counts: Sequence[int]) -> pa.Schema:
    text, number = pa.string(), pa.float64()
    return pa.schema(
        [
            *((name, text) for name in ("id", "split", "video_path", "video_sha256", "caption")),
            ("chooser", text),
            ("draw", pa.int64()),
            *((f"recall_at_{k}", number) for k in counts),
            *((f"precision_at_{k}", number) for k in counts),
            ("weakest_match", number),
            ("source_index", pa.list_(pa.int64())),
            ("time_s", pa.list_(number)),
            ("score", pa.list_(number)),
        ]
    )

"""Videos that a training or an evaluation had to do without."""

import logging
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import pandas as pd

from pipeline_lib.datasets.video_lists.missing import MissingVideo
from pipeline_lib.errors import BatchError
from pipeline_lib.storage.tables import write_csv

FAILURES = "failures.csv"
logger = logging.getLogger(__name__)


def failure_table(missing: Sequence[tuple[str, MissingVideo]]) -> pd.DataFrame:
    """Videos that were left out: split, id, path, reason, and line of the list, if it has lines."""
    columns = ["split", *(field.name for field in fields(MissingVideo))]
    rows = [{"split": split, **vars(video)} for split, video in missing]
    return pd.DataFrame(rows, columns=columns).astype({"line": "Int64"})


def write_failures(folder: Path, failures: Sequence[tuple[str, MissingVideo]]) -> None:
    """Write ``failures.csv``, or take away an older one where nothing failed.

    Args:
        folder: Where to.
        failures: Split and video of each that is missing or broken.
    """
    if failures:
        write_csv(folder / FAILURES, failure_table(failures))
    else:
        (folder / FAILURES).unlink(missing_ok=True)


def raise_left_out(
    missing: Sequence[tuple[str, MissingVideo]],
    listed: int,
    out: Path,
    section: str,
    *,
    wrote: str = "",
) -> None:
    """Turn videos that were left out into the error a batch ends with, if there are some.

    Args:
        missing: Each with its split.
        listed: How many videos there are, with these.
        out: Folder of the table of them.
        section: Of the parameters, for the message.
        wrote: What was done all the same; logged before the error.

    Raises:
        BatchError: There are some.
    """
    if not missing:
        return
    if wrote:
        logger.info("%s", wrote)
    split, video = missing[0]
    raise BatchError(
        f"{len(missing)} of {listed} videos could not be used, first: "
        f"{video.id} ({split}): {video.reason}",
        hint=f"All are listed in {out / FAILURES}; the model is trained on the others. "
        f"Correct them, or set {section}.dataset.on_missing: list.",
    )

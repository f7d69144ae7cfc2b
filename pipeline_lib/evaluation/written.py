"""What an evaluation leaves on disk beside its numbers: predictions, and plots of one split."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline_lib.evaluation.labelled_windows import LabelledWindows
from pipeline_lib.evaluation.scoring import LEVELS, Scores
from pipeline_lib.metrics.classification import confusion
from pipeline_lib.metrics.predictions import Predictions
from pipeline_lib.pictures.confusion import draw_confusion
from pipeline_lib.storage.tables import write_csv, write_parquet

_WINDOW_COLUMNS = ["video", "split", "start_s", "end_s", "overlaps_event"]


def write_predictions(folder: Path, splits: Mapping[str, tuple[LabelledWindows, Scores]]) -> None:
    """Write ``window_predictions.parquet`` and ``video_predictions.parquet``.

    Both hold ``label``, ``predicted`` and one column ``probability.<class>`` a class.

    Args:
        folder: Where to.
        splits: Split to its windows and their scores.
    """
    of_windows, of_videos = [], []
    for split, (windows, scores) in splits.items():
        place = windows.table[_WINDOW_COLUMNS]
        of_windows.append(pd.concat([place, _columns(scores.frame)], axis=1))
        counts = np.bincount(windows.video_of_window, minlength=len(windows.videos))
        videos = pd.DataFrame({"video": list(windows.videos), "split": split, "windows": counts})
        of_videos.append(pd.concat([videos, _columns(scores.video)], axis=1))
    write_parquet(folder / "window_predictions.parquet", pd.concat(of_windows, ignore_index=True))
    write_parquet(folder / "video_predictions.parquet", pd.concat(of_videos, ignore_index=True))


def write_plots(folder: Path, split: str, scores: Scores, tree: Mapping[str, Any]) -> None:
    """Write tables for DVC's plots and confusion matrices as pictures.

    ``confusion_<level>.csv`` has the columns ``actual`` and ``predicted``, one row a sample;
    ``recall_per_class.csv`` a row a class and a column a level. ``confusion_<level>.png`` shows
    the same counts.

    Args:
        folder: Where to.
        split: The split, for titles.
        scores: Its predictions.
        tree: Its metrics.
    """
    for level, samples in (("frame", "windows"), ("video", "videos")):
        predictions: Predictions = getattr(scores, level)
        names = np.array(predictions.class_names, dtype=str)
        pairs = {"actual": names[predictions.labels], "predicted": names[predictions.predicted]}
        write_csv(folder / f"confusion_{level}.csv", pd.DataFrame(pairs))
        draw_confusion(
            folder / f"confusion_{level}.png",
            confusion(predictions),
            predictions.class_names,
            title=f"{split} {samples}: accuracy {_percent(tree[level]['accuracy'])}, "
            f"balanced {_percent(tree[level]['balanced_accuracy'])}",
        )
    recalls = {level: tree[level]["recall"] for level in LEVELS}
    by_class = pd.DataFrame(recalls, index=list(scores.frame.class_names), dtype=float)
    write_csv(folder / "recall_per_class.csv", by_class.rename_axis("class").reset_index())


def _columns(predictions: Predictions) -> pd.DataFrame:
    names = np.array(predictions.class_names, dtype=object)
    table = pd.DataFrame(
        {"label": names[predictions.labels], "predicted": names[predictions.predicted]}
    )
    for index, name in enumerate(predictions.class_names):
        table[f"probability.{name}"] = predictions.probabilities[:, index]
    return table


def _percent(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.1%}"

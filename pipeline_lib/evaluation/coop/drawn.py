"""Plots of one evaluated split: tables for DVC, and pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline_lib.datasets.layout import spread_over_classes
from pipeline_lib.evaluation.coop.lineup import Lineup
from pipeline_lib.evaluation.coop.scoring import LEVELS, probability
from pipeline_lib.evaluation.coop.split import MODEL, WITH_CURVES, EvaluatedSplit
from pipeline_lib.metrics.classification import confusion
from pipeline_lib.metrics.predictions import Predictions
from pipeline_lib.pictures.anomaly_curves import draw_anomaly_curves
from pipeline_lib.pictures.confusion import draw_confusion
from pipeline_lib.pictures.probability_timeline import ProbabilitySheet, ProbabilityTimeline
from pipeline_lib.pictures.prompt_map import draw_prompt_map
from pipeline_lib.pictures.timeline import picture_name
from pipeline_lib.storage.directories import replacing_directory
from pipeline_lib.storage.tables import write_csv

# Places on the shared axis of the curves in a table.
_GRID = np.linspace(0.0, 1.0, 201)


def draw_plots(
    folder: Path,
    split: EvaluatedSplit,
    tree: Mapping[str, Any],
    lineup: Lineup,
    timelines: int,
) -> None:
    """Write tables for DVC's plots, and pictures.

    * ``confusion_<level>.csv``: columns ``actual`` and ``predicted``, one row a sample;
      ``confusion_<level>.png`` shows the same counts.
    * ``recall_per_class.csv``: a row a class and a column a level.
    * ``roc.csv`` and ``precision_recall.csv``: the model's curve and those of two controls, at
      shared places of the first column; ``anomaly_curves.png`` shows them. Without a class that
      has no events the tables have no row.
    * ``timelines/*.png``: single videos; ``prompt_map.png``: windows and prompts.

    Args:
        folder: Where to.
        split: The split; it has windows.
        tree: Its metrics.
        lineup: The prompts and the features.
        timelines: Most pictures of single videos.
    """
    for level, samples in (("frame", "windows"), ("video", "videos")):
        _draw_confusion(folder, split, level, samples, tree[level])
    recalls = {level: tree[level]["recall"] for level in LEVELS}
    by_class = pd.DataFrame(recalls, index=list(split.windows.class_names), dtype=float)
    write_csv(folder / "recall_per_class.csv", by_class.rename_axis("class").reset_index())
    _draw_curves(folder, split)
    _draw_timelines(folder / "timelines", split, timelines)
    name = split.windows.split
    draw_prompt_map(
        folder / "prompt_map.png",
        lineup.store.features(name),
        split.windows.labels,
        lineup.text_features,
        lineup.zero_shot_text,
        lineup.prompts.class_names,
        lineup.prompts.metadata.get("seed") or 0,
    )


def _draw_confusion(
    folder: Path, split: EvaluatedSplit, level: str, samples: str, measured: Mapping[str, Any]
) -> None:
    predictions: Predictions = getattr(split.scores, level)
    names = pd.Index(predictions.class_names)
    pairs = {
        "actual": pd.Categorical.from_codes(predictions.labels, names),
        "predicted": pd.Categorical.from_codes(predictions.predicted, names),
    }
    write_csv(folder / f"confusion_{level}.csv", pd.DataFrame(pairs))
    draw_confusion(
        folder / f"confusion_{level}.png",
        confusion(predictions),
        predictions.class_names,
        title=f"{split.windows.split} {samples}: accuracy {_percent(measured['accuracy'])}, "
        f"balanced {_percent(measured['balanced_accuracy'])}",
    )


def _draw_curves(folder: Path, split: EvaluatedSplit) -> None:
    roc, precisions = {"false_positive_rate": _GRID}, {"recall": _GRID}
    drawn = [name for name in WITH_CURVES if name in split.curves]
    defined = [name for name in drawn if len(split.curves[name].fpr)]
    for name in defined:
        curve = split.curves[name]
        roc[name] = np.interp(_GRID, curve.fpr, curve.tpr)
        # The precision of the highest threshold that reaches the recall: nothing is interpolated.
        first = np.searchsorted(curve.recall, _GRID)
        precisions[name] = curve.precision[first]
    for file, columns in (("roc.csv", roc), ("precision_recall.csv", precisions)):
        table = pd.DataFrame(columns).reindex(columns=[*list(columns)[:1], *WITH_CURVES])
        write_csv(folder / file, table if defined else table.iloc[:0])
    positive = split.seconds.positive
    draw_anomaly_curves(
        folder / "anomaly_curves.png",
        {name.replace("_", " "): split.curves[name] for name in drawn},
        float(positive.mean()) if len(positive) else None,
        f"{split.windows.split}: seconds inside annotated events against all others",
    )


def _draw_timelines(folder: Path, split: EvaluatedSplit, most: int) -> None:
    windows, scores = split.windows, split.scores
    chosen = spread_over_classes(windows.videos, most)
    place = {video: index for index, video in enumerate(windows.videos)}
    log_odds = split.thresholds.get(MODEL)
    threshold = None if log_odds is None else float(probability(np.array(log_odds)))
    sheet = ProbabilitySheet(windows.class_names, windows.normal, threshold)
    starts, ends = (windows.table[name].to_numpy(dtype=float) for name in ("start_s", "end_s"))
    voted = scores.pooling == "vote"
    with replacing_directory(folder) as made:
        for video in chosen:
            index = place[video]
            # Windows that end before the video starts have no place on its time axis.
            at = np.flatnonzero((windows.video_of_window == index) & (ends > 0))
            predicted = int(scores.video.predicted[index])
            timeline = ProbabilityTimeline(
                title=video,
                seconds=float(windows.offset_s + windows.video_rows[index] * windows.every_s),
                events=windows.events.get(video, ()),
                starts=np.maximum(starts[at], 0.0),
                ends=ends[at],
                probabilities=scores.frame.probabilities[at],
                true_class=int(windows.video_labels[index]),
                predicted_class=predicted,
                confidence=None if voted else float(scores.video.probabilities[index, predicted]),
            )
            sheet.draw(made / picture_name(video), timeline)


def _percent(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.1%}"

"""Tables and arrays that an evaluation leaves on disk beside its numbers."""

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline_lib.datasets.layout import SPLITS
from pipeline_lib.evaluation.coop.lineup import Lineup
from pipeline_lib.evaluation.coop.scoring import LEVELS, Tree, probability
from pipeline_lib.evaluation.coop.split import MODEL, EvaluatedSplit
from pipeline_lib.metrics.predictions import Predictions
from pipeline_lib.storage.atomic import write_bytes
from pipeline_lib.storage.tables import write_csv, write_parquet

_WINDOW_COLUMNS = ["video", "split", "start_s", "end_s", "overlaps_event"]
# What a metrics file says of single classes; all of it stands in a table, where it can be read.
_OF_CLASSES = "recall"


def comparable(metrics: Mapping[str, Any]) -> Tree:
    """The numbers that are compared between runs: without those of single classes, except recall.

    Args:
        metrics: Of a whole evaluation.
    """

    def level(tree: Mapping[str, Any], kept: str | None) -> Tree:
        return {k: v for k, v in tree.items() if k == kept or not isinstance(v, Mapping)}

    def levels(tree: Mapping[str, Any], kept: str | None) -> Tree:
        return {k: level(v, kept) if k in LEVELS else v for k, v in tree.items()}

    return {
        split: {
            **levels({k: v for k, v in tree.items() if k != "control"}, _OF_CLASSES),
            "control": {name: levels(found, None) for name, found in tree["control"].items()},
        }
        for split, tree in metrics.items()
    }


def write_per_class(folder: Path, metrics: Mapping[str, Any]) -> None:
    """Write ``per_class.csv``: every metric of every class, of the model and of its controls.

    Args:
        folder: Where to.
        metrics: Of a whole evaluation.
    """
    write_csv(folder / "per_class.csv", pd.DataFrame(list(_per_class(metrics))))


def _per_class(metrics: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for split, tree in metrics.items():
        for name, found in {MODEL: tree, **tree["control"]}.items():
            for level in LEVELS:
                columns = {k: v for k, v in found[level].items() if isinstance(v, Mapping)}
                for class_name in next(iter(columns.values()), ()):
                    place = {"split": split, "level": level, "model": name, "class": class_name}
                    yield place | {k: values[class_name] for k, values in columns.items()}


def write_predictions(folder: Path, splits: Sequence[EvaluatedSplit]) -> None:
    """Write ``window_predictions``, ``video_predictions`` and ``second_scores``, all parquet.

    The predictions hold ``label``, ``predicted`` and one column ``probability.<class>`` a class.
    A second has ``video``, ``split``, ``start_s``, ``end_s``, ``overlaps_event``, ``score``
    (1 - P(normal)) and ``log_odds``, which ranks where that probability is rounded to 0 or 1.

    Args:
        folder: Where to.
        splits: The evaluated splits.
    """
    for name, table_of in (
        ("window_predictions", _windows),
        ("video_predictions", _videos),
        ("second_scores", _seconds),
    ):
        tables = [table_of(split) for split in splits]
        write_parquet(folder / f"{name}.parquet", pd.concat(tables, ignore_index=True))


def write_prompts(folder: Path, lineup: Lineup, words: pd.DataFrame) -> None:
    """Write what the prompts are: ``text_features.npz`` and ``context_words.csv``.

    The archive holds ``text_features`` (normalised, float32 [C, D]), ``class_names`` [C] and
    ``logit_scale`` (the factor on cosines): all that is needed to name a feature.

    Args:
        folder: Where to.
        lineup: The prompts.
        words: The nearest words of each context vector, with the class as an index.
    """
    buffer = io.BytesIO()
    np.savez(
        buffer,
        text_features=lineup.text_features,
        class_names=np.array(lineup.prompts.class_names, dtype=np.str_),
        logit_scale=np.float64(lineup.scale),
    )
    write_bytes(folder / "text_features.npz", buffer.getvalue())
    # A context that all classes share has index -1, and no class.
    classes = np.array([*lineup.prompts.class_names, ""], dtype=object)
    named = words.drop(columns="class_index")
    named.insert(0, "class", classes[words["class_index"].to_numpy(dtype=np.int64)])
    write_csv(folder / "context_words.csv", named.round({"distance": 4}))


def _windows(split: EvaluatedSplit) -> pd.DataFrame:
    place = split.windows.table[_WINDOW_COLUMNS].reset_index(drop=True)
    return pd.concat([place, _columns(split.scores.frame)], axis=1)


def _videos(split: EvaluatedSplit) -> pd.DataFrame:
    windows = split.windows
    counts = np.bincount(windows.video_of_window, minlength=len(windows.videos))
    videos = pd.DataFrame(
        {"video": pd.Series(windows.videos, dtype="str"), "split": windows.split, "windows": counts}
    )
    return pd.concat([videos, _columns(split.scores.video)], axis=1)


def _seconds(split: EvaluatedSplit) -> pd.DataFrame:
    """The scored seconds; none where the model has no class without events."""
    seconds, log_odds = split.seconds, split.scores.log_odds
    shown = slice(None) if log_odds is not None else slice(0)
    of_seconds = seconds.scores(log_odds) if log_odds is not None else np.zeros(0)
    table, start = seconds.windows.table, seconds.start_s[shown]
    # The store's own categories: tables of several splits then stay categories together.
    videos = pd.Series(seconds.windows.videos, dtype="str").astype(table["video"].dtype)
    split_code = np.full(len(start), SPLITS.index(seconds.windows.split))
    return pd.DataFrame(
        {
            "video": videos.array.take(seconds.video[shown]),
            "split": pd.Categorical.from_codes(split_code, pd.Index(SPLITS)),
            "start_s": start,
            "end_s": np.round(start + seconds.windows.every_s, 9),
            "overlaps_event": seconds.positive[shown],
            "score": probability(of_seconds),
            "log_odds": of_seconds,
        }
    )


def _columns(predictions: Predictions) -> pd.DataFrame:
    names = pd.Index(predictions.class_names)
    table = pd.DataFrame(
        {
            "label": pd.Categorical.from_codes(predictions.labels, names),
            "predicted": pd.Categorical.from_codes(predictions.predicted, names),
        }
    )
    for index, name in enumerate(predictions.class_names):
        table[f"probability.{name}"] = predictions.probabilities[:, index]
    return table

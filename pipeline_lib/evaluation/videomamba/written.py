"""What an evaluation leaves on disk beside its numbers and plots."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline_lib.evaluation.videomamba.answers import TRAINED, AnsweredSplit
from pipeline_lib.evaluation.videomamba.tree import video_predictions
from pipeline_lib.storage.tables import write_parquet


def write_tables(folder: Path, answered: Sequence[AnsweredSplit]) -> None:
    """Write ``predictions.parquet``, a row a video, which all numbers of videos follow from.

    Columns ``split``, ``video``, ``views`` (how many were averaged), ``label``, ``predicted``, of
    every control that watches videos ``predicted.<control>``, and of classes
    ``probability.<class>``.
    """
    tables = [_of_classes(one) if one.class_names else _of_values(one) for one in answered]
    write_parquet(folder / "predictions.parquet", pd.concat(tables, ignore_index=True))


def _of_classes(one: AnsweredSplit) -> pd.DataFrame:
    table, names = _videos(one), pd.Index(one.class_names or ())
    trained = video_predictions(one, TRAINED)
    table["label"] = pd.Categorical.from_codes(trained.labels, names)
    for control in one.answers:
        predicted = video_predictions(one, control).predicted
        table[_column(control)] = pd.Categorical.from_codes(predicted, names)
    shares = pd.DataFrame(trained.probabilities, columns=[f"probability.{name}" for name in names])
    return pd.concat([table, shares], axis=1)


def _of_values(one: AnsweredSplit) -> pd.DataFrame:
    table = _videos(one)
    table["label"] = one.video_labels
    for control, answers in one.answers.items():
        table[_column(control)] = answers.merged.rows[:, 0]
    return table


def _videos(one: AnsweredSplit) -> pd.DataFrame:
    views = np.asarray(one.answers[TRAINED].merged.views)
    return pd.DataFrame(
        {"split": one.split, "video": pd.Series(one.videos, dtype="str"), "views": views}
    )


def _column(contender: str) -> str:
    return "predicted" if contender == TRAINED else f"predicted.{contender}"

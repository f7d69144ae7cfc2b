"""Plots of the last split: tables for DVC, and pictures."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline_lib.datasets.video_clips.store import ClipStore
from pipeline_lib.evaluation.videomamba.answers import TRAINED, AnsweredSplit
from pipeline_lib.evaluation.videomamba.tree import hits_or_errors, video_predictions
from pipeline_lib.metrics.classification import confusion, recall
from pipeline_lib.metrics.grouped_mean import mean_and_error
from pipeline_lib.pictures.confusion import draw_confusion
from pipeline_lib.pictures.contender_bars import Bar, draw_contender_bars
from pipeline_lib.pictures.named_video import NamedVideo, draw_named_video
from pipeline_lib.pictures.timeline import picture_name
from pipeline_lib.pictures.value_scatter import draw_value_scatter
from pipeline_lib.storage.directories import replacing_directory
from pipeline_lib.storage.tables import write_csv

_CLASSES, _VALUES = "accuracy", "mse"  # the first number of either task
_NAMED = 5
WRONG, SPREAD = "among the surest mistakes", "an example of this class"
FAR, ANY = "among the largest errors", "an example"


@dataclass(frozen=True)
class Shown:
    """One split with its frames.

    Attributes:
        answered: Everybody's answers.
        store: The frames of its windows.
        segments: Clips of a window.
    """

    answered: AnsweredSplit
    store: ClipStore
    segments: int


@dataclass(frozen=True)
class Example:
    """A video to draw.

    Attributes:
        video: Its place among the split's videos.
        reason: Why it was taken.
    """

    video: int
    reason: str


def draw_plots(folder: Path, shown: Shown, tree: Mapping[str, Any], examples: int) -> None:
    """Write tables for DVC's plots, and pictures.

    * ``accuracy.csv`` and ``accuracy.png``: a row or bar a contender, over whole videos; of values
      ``mse.csv`` and ``mse.png``.
    * ``confusion.csv``: columns ``actual`` and ``predicted``, a row a video; ``confusion.png``
      shows the counts. Of values ``values.csv`` and ``values.png``.
    * ``recall_per_class.csv``: a row a class and a column a contender that watches videos.
    * ``examples/*.png``: frames of single videos beside what they were named.

    Args:
        folder: Where to.
        shown: The split.
        tree: Its metrics.
        examples: Most pictures of single videos.
    """
    answered = shown.answered
    _draw_contenders(folder, answered, tree)
    if answered.class_names is not None:
        _draw_confusion(folder, answered, tree)
        _write_recalls(folder, answered, answered.class_names)
    else:
        _draw_values(folder, answered, tree)
    with replacing_directory(folder / "examples") as made:
        for example in pick_examples(answered, examples):
            name = picture_name(answered.videos[example.video])
            draw_named_video(made / name, _named(shown, example))


def _draw_contenders(folder: Path, answered: AnsweredSplit, tree: Mapping[str, Any]) -> None:
    first = _VALUES if answered.class_names is None else _CLASSES
    levels = {TRAINED: tree["video"]} | {
        name: control["video"] for name, control in tree["control"].items()
    }
    # The recall of each class has a table of its own.
    rows = [
        {"model": name} | {key: v for key, v in level.items() if not isinstance(v, Mapping)}
        for name, level in levels.items()
    ]
    write_csv(folder / f"{first}.csv", pd.DataFrame(rows))
    scale = 100.0 if first == _CLASSES else 1.0

    def scaled(value: float | None) -> float | None:
        return None if value is None else scale * value

    bars = [
        Bar(
            name,
            scaled(level[first]),
            scaled(_error(answered, name)),
            scaled(level.get("balanced_accuracy")),
        )
        for name, level in levels.items()
    ]
    draw_contender_bars(
        folder / f"{first}.png",
        bars,
        f"{answered.split}: {len(answered.videos)} videos, mean over the views of each",
        "accuracy, % ± standard error" if first == _CLASSES else "mean squared error ± its error",
        mark="balanced accuracy",
        most=100.0 if first == _CLASSES else 0.0,
    )


def _error(answered: AnsweredSplit, name: str) -> float | None:
    """Standard error over videos, of a contender that watches them."""
    if name not in answered.answers:
        return None
    return mean_and_error(hits_or_errors(answered, name).tolist(), answered.videos)[1]


def _draw_confusion(folder: Path, answered: AnsweredSplit, tree: Mapping[str, Any]) -> None:
    named = video_predictions(answered, TRAINED)
    names = pd.Index(named.class_names)
    pairs = {
        "actual": pd.Categorical.from_codes(named.labels, names),
        "predicted": pd.Categorical.from_codes(named.predicted, names),
    }
    write_csv(folder / "confusion.csv", pd.DataFrame(pairs))
    reached = (tree["video"][name] for name in ("accuracy", "balanced_accuracy"))
    draw_confusion(
        folder / "confusion.png",
        confusion(named),
        named.class_names,
        title="{} videos: accuracy {:.1%}, balanced {:.1%}".format(answered.split, *reached),
    )


def _write_recalls(folder: Path, answered: AnsweredSplit, names: Sequence[str]) -> None:
    columns = {name: recall(video_predictions(answered, name)) for name in answered.answers}
    table = pd.DataFrame(columns, index=list(names), dtype=float)
    write_csv(folder / "recall_per_class.csv", table.rename_axis("class").reset_index())


def _draw_values(folder: Path, answered: AnsweredSplit, tree: Mapping[str, Any]) -> None:
    actual = answered.video_labels
    predicted = answered.answers[TRAINED].merged.rows[:, 0]
    write_csv(folder / "values.csv", pd.DataFrame({"actual": actual, "predicted": predicted}))
    known = answered.train_labels
    draw_value_scatter(
        folder / "values.png",
        actual,
        predicted,
        f"{answered.split}: {len(actual)} videos, mean squared error {tree['video']['mse']:.3g}",
        None if known is None else float(known.mean()),
    )


def pick_examples(answered: AnsweredSplit, most: int) -> list[Example]:
    """At most ``most`` videos: up to half of them the worst answers, the others over all classes.

    The worst are the mistakes with the largest probability, or the values that are furthest off.

    Args:
        answered: The split.
        most: Pictures wanted.
    """
    if answered.class_names is None:
        order = np.argsort(-hits_or_errors(answered, TRAINED), kind="stable").tolist()
        worst = [Example(video, FAR) for video in order[: most // 2]]
    else:
        named = video_predictions(answered, TRAINED)
        sure = named.probabilities.max(axis=1)
        order = np.argsort(-sure, kind="stable").tolist()
        wrong = [video for video in order if named.predicted[video] != named.labels[video]]
        worst = [Example(video, WRONG) for video in wrong[: most // 2]]
    taken = {example.video for example in worst}
    left = [video for video in range(len(answered.videos)) if video not in taken]
    reason = ANY if answered.class_names is None else SPREAD
    others = _over_classes(left, answered, most - len(worst))
    return worst + [Example(video, reason) for video in others]


def _over_classes(videos: Sequence[int], answered: AnsweredSplit, most: int) -> list[int]:
    """The first of every class, then the second, until there are enough; values at distances."""
    if answered.class_names is None:
        number = min(most, len(videos))
        return [videos[place * len(videos) // number] for place in range(number)]
    of_class: defaultdict[int, list[int]] = defaultdict(list)
    for video in videos:
        of_class[int(answered.video_labels[video])].append(video)
    turns = sorted((turn, label) for label, found in of_class.items() for turn in range(len(found)))
    return sorted(of_class[label][turn] for turn, label in turns[:most])


def _named(shown: Shown, example: Example) -> NamedVideo:
    answered = shown.answered
    video, label = answered.videos[example.video], answered.video_labels[example.video]
    row = answered.answers[TRAINED].merged.rows[example.video]
    names = answered.class_names
    best = np.argsort(-row, kind="stable")[:_NAMED]
    return NamedVideo(
        name=video,
        note=example.reason,
        actual=f"{label:.3g}" if names is None else names[label],
        predicted=f"{row[0]:.3g}" if names is None else names[best[0]],
        right=None if names is None else bool(best[0] == label),
        shares=[] if names is None else [(names[place], float(row[place])) for place in best],
        frames=_frames(shown, video),
    )


def _frames(shown: Shown, video: str) -> list[NDArray[np.uint8]]:
    """A middle clip of the video's first window that could be read."""
    kept = {item.id for item in shown.answered.clips.items}
    items = shown.store.items
    row = next(i for i, item in enumerate(items) if item.video == video and item.id in kept)
    middle = shown.store.test_indices(row, shown.segments // 2, shown.segments)
    return list(shown.store.read(row, middle))

"""Evaluation of CoOp prompts on windows, videos and seconds, beside their controls.

All options come from the checkpoint. The controls: uniform guessing (``chance``), always the most
frequent training class (``majority``), a plain prompt through the same tower on the same features
(``zero_shot``), logistic regression on the same features without any text (``linear_probe``),
prompts learned from shuffled labels (``shuffled``), and prompts learned on features of
random weights (``random_init``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline_lib.config import EvaluateConfig, Params
from pipeline_lib.datasets.layout import SPLITS
from pipeline_lib.datasets.window_store import WindowStore, open_store
from pipeline_lib.errors import ConfigError, DataError, did_you_mean
from pipeline_lib.evaluation import Outputs, Request
from pipeline_lib.evaluation.coop.drawn import draw_plots
from pipeline_lib.evaluation.coop.lineup import Lineup, checkpoint_name, line_up, require_metadata
from pipeline_lib.evaluation.coop.split import THRESHOLDS_FROM, EvaluatedSplit, evaluate_split
from pipeline_lib.evaluation.coop.written import (
    comparable,
    write_per_class,
    write_predictions,
    write_prompts,
)
from pipeline_lib.networks.nearest_words import nearest_words
from pipeline_lib.networks.text_towers import TextTower
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.atomic import write_json
from pipeline_lib.trainers.checkpoints import read_checkpoint
from pipeline_lib.trainers.coop.prompts import prepared_tower
from pipeline_lib.trainers.coop.training import Places


@dataclass(frozen=True)
class CoopEvaluation:
    """A finished evaluation; see :class:`pipeline_lib.evaluation.Evaluation`.

    Attributes:
        metrics: ``{split: {videos_without_windows, frame, event_frame, video, video_pooling,
            anomaly, seeds, control}}``.
        splits: The windows and the prompts' scores, in the order the splits were asked for.
        lineup: What was measured.
        words: The nearest words of each context vector.
        timelines: Most pictures of single videos.
    """

    metrics: dict[str, Any]
    splits: dict[str, EvaluatedSplit]
    lineup: Lineup
    words: pd.DataFrame
    timelines: int

    def write(self, outputs: Outputs) -> None:
        """Write metrics and tables of all splits, and plots of the last that has windows."""
        write_json(outputs.metrics, comparable(self.metrics))
        write_per_class(outputs.tables, self.metrics)
        write_predictions(outputs.tables, list(self.splits.values()))
        write_prompts(outputs.tables, self.lineup, self.words)
        shown = [split for split in self.splits.values() if len(split.windows.labels)][-1]
        tree = self.metrics[shown.windows.split]
        draw_plots(outputs.plots, shown, tree, self.lineup, self.timelines)

    def raise_failures(self, outputs: Outputs | None) -> None:
        """Nothing to raise: windows that cannot be measured never get this far."""


def evaluate_coop(params: Params, request: Request, progress: Progress = SILENT) -> CoopEvaluation:
    """Evaluate a CoOp checkpoint: loads the text tower that the checkpoint names.

    Args:
        params: All of ``params.yaml``; ``evaluate``, ``extract`` and ``runtime`` are used.
        request: What to evaluate.
        progress: Told of each split and classifier.

    Raises:
        ConfigError: An unknown split, or a zero-shot prompt without ``{}``.
        DataError: Packed windows are missing or do not fit the checkpoint.
        WeightsError: Checkpoint, text tower and features are not of the same weights.
    """
    checkpoint = request.checkpoint or Places().out / checkpoint_name(params.evaluate)
    _, metadata = read_checkpoint(checkpoint)
    require_metadata(checkpoint, metadata)
    tower = prepared_tower(params, metadata["backbone"], metadata["recipe"]["precision"])
    return evaluate_prompts(checkpoint, tower, request, params.evaluate, progress)


def evaluate_prompts(
    checkpoint: Path,
    tower: TextTower,
    request: Request,
    config: EvaluateConfig,
    progress: Progress = SILENT,
) -> CoopEvaluation:
    """Evaluate a CoOp checkpoint with a text tower at hand; raises like :func:`evaluate_coop`.

    Args:
        checkpoint: The prompts; controls and other seeds are looked for beside it.
        tower: The text tower they were trained with.
        request: Windows and splits.
        config: The ``evaluate`` section.
        progress: Told of each split and classifier.
    """
    for split in set(request.splits) - set(SPLITS):
        raise ConfigError(f"Unknown split {split!r}.", hint=did_you_mean(split, SPLITS))
    tensors, metadata = read_checkpoint(checkpoint)
    require_metadata(checkpoint, metadata)
    folder = request.windows or Places().windows / metadata["features"]["directory"]
    store = open_store(folder)
    _require_windows(store, request.splits, metadata["unit_duration"])
    lineup = line_up(checkpoint, tower, store, config)
    metrics: dict[str, Any] = {}
    splits: dict[str, EvaluatedSplit] = {}
    rounds = len(request.splits) * (1 + len(lineup.controls) + len(lineup.seeds))
    with progress.task("evaluate", rounds) as advance:
        # val first: its thresholds are applied to the others.
        for split in sorted(request.splits, key=lambda name: name != THRESHOLDS_FROM):
            chosen = splits[THRESHOLDS_FROM].thresholds if THRESHOLDS_FROM in splits else {}
            metrics[split], splits[split] = evaluate_split(
                lineup, split, config.video_pooling, chosen, advance
            )
    return CoopEvaluation(
        metrics={split: metrics[split] for split in request.splits},
        splits={split: splits[split] for split in request.splits},
        lineup=lineup,
        words=nearest_words(tower, tensors["ctx"]),
        timelines=config.timelines,
    )


def _require_windows(store: WindowStore, splits: Sequence[str], unit: int) -> None:
    """Check that there is something to measure, of the kind that the model was trained on."""
    if not any(store.info.windows[split] for split in splits):
        raise DataError(
            f"{store.path}: no kept window of {' or '.join(splits)}; nothing to measure.",
            hint="The reasons of dropped windows stand in data/index/windows.parquet.",
        )
    index = store.index
    longest = int(index.loc[index["split"].isin(splits), "n_rows"].max())
    if longest > unit:
        raise DataError(
            f"{store.path}: has windows of {longest} rows; the model was trained on windows of "
            f"{unit}.",
            hint=f"Make the windows with train.unit_duration: {unit}, or train again.",
        )

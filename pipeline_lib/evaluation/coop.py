"""Evaluation of CoOp prompts on windows and videos, beside their controls.

All options come from the checkpoint. The controls: uniform guessing (``chance``), always the most
frequent training class (``majority``), a plain prompt through the same tower on the same features
(``zero_shot``), and prompts learned on features of random weights (``random_init``).
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline_lib.config import EvaluateConfig, Params
from pipeline_lib.datasets.layout import SPLITS
from pipeline_lib.datasets.window_features import read_windows
from pipeline_lib.errors import ConfigError, DataError, WeightsError, did_you_mean
from pipeline_lib.evaluation import Outputs, Request
from pipeline_lib.evaluation.classifiers import (
    Classifier,
    prompt_classifier,
    window_logits,
    zero_shot_classifier,
)
from pipeline_lib.evaluation.controls import chance, constant_logits, majority_class
from pipeline_lib.evaluation.labelled_windows import LabelledWindows, labelled_windows
from pipeline_lib.evaluation.scoring import LEVELS, Scores, measure_split, score
from pipeline_lib.evaluation.written import write_plots, write_predictions
from pipeline_lib.networks.text_towers import TextTower
from pipeline_lib.runtime.device import choose_device, set_threads
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.atomic import write_json
from pipeline_lib.storage.features import read_manifest
from pipeline_lib.trainers.checkpoints import read_checkpoint
from pipeline_lib.trainers.coop import CONTROL, Places
from pipeline_lib.trainers.prompts import LoadedPrompts, load_prompts, load_text_tower

logger = logging.getLogger(__name__)

BEST = "coop_best.safetensors"
PROMPTS = "prompts"  # the trained prompts among the classifiers; all others are controls
CONTROLS = ("chance", "majority", "zero_shot", "random_init")
_NAMED = 5


@dataclass(frozen=True)
class CoopEvaluation:
    """A finished evaluation; see :class:`pipeline_lib.evaluation.Evaluation`.

    Attributes:
        metrics: ``{split: {frame, event_frame, video, event_detection, control}}``.
        splits: Split to its windows and the prompts' scores, in the order they were asked for.
    """

    metrics: dict[str, Any]
    splits: dict[str, tuple[LabelledWindows, Scores]]

    def write(self, outputs: Outputs) -> None:
        """Write metrics and predictions of all splits, and plots of the last."""
        write_json(outputs.metrics, self.metrics)
        write_predictions(outputs.tables, self.splits)
        split, (_, scores) = list(self.splits.items())[-1]
        write_plots(outputs.plots, split, scores, self.metrics[split])


def evaluate_coop(params: Params, request: Request, progress: Progress = SILENT) -> CoopEvaluation:
    """Evaluate a CoOp checkpoint: loads the text tower that the checkpoint names.

    Args:
        params: All of ``params.yaml``; ``evaluate``, ``extract`` and ``runtime`` are used.
        request: What to evaluate.
        progress: Told of each video.

    Raises:
        ConfigError: An unknown split, or a zero-shot prompt without ``{}``.
        DataError: Windows or features are missing or do not fit the checkpoint.
        WeightsError: Checkpoint, text tower and features are not of the same weights.
    """
    checkpoint = request.checkpoint or Places().out / BEST
    _, metadata = read_checkpoint(checkpoint)
    if metadata.get("trainer") != "coop":
        raise WeightsError(f"{checkpoint}: not a CoOp checkpoint.", hint=f"Use {Places().out}.")
    set_threads(params.runtime.threads)
    device = choose_device(params.runtime.device)
    tower = load_text_tower(params.extract, metadata["backbone"], device)
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
        checkpoint: The prompts; their control is looked for beside it.
        tower: The text tower they were trained with.
        request: Features, windows and splits.
        config: The ``evaluate`` section.
        progress: Told of each video.
    """
    for split in set(request.splits) - set(SPLITS):
        raise ConfigError(f"Unknown split {split!r}.", hint=did_you_mean(split, SPLITS))
    prompts = load_prompts(checkpoint, tower)
    features = request.features or Places().features / prompts.metadata["features"]["directory"]
    classifiers = {
        PROMPTS: prompt_classifier(prompts, tower, features, checkpoint),
        "zero_shot": zero_shot_classifier(prompts, tower, features, config.zero_shot_prompt),
        **_random_init(checkpoint, tower, features),
    }
    table = _windows_table(request, prompts)
    majority = majority_class(_train_labels(table), prompts.class_names)
    metrics: dict[str, Any] = {}
    splits = {}
    for split in request.splits:
        windows = labelled_windows(
            table,
            split,
            class_names=prompts.class_names,
            normal_class=prompts.metadata["config"]["normal_class"],
            known_videos=read_manifest(features).videos,
            source=_windows_path(request),
        )
        _tell(split, windows)
        logits = window_logits(classifiers, windows.table, progress)
        if majority is not None:
            logits["majority"] = constant_logits(windows, majority)
        scores = {
            name: score(windows, found, config.video_pooling) for name, found in logits.items()
        }
        metrics[split] = _tree(windows, scores)
        splits[split] = windows, scores[PROMPTS]
    return CoopEvaluation(metrics, splits)


def _random_init(checkpoint: Path, tower: TextTower, features: Path) -> dict[str, Classifier]:
    """The control beside ``checkpoint``, where it and its features are there."""
    control = checkpoint.parent / CONTROL / BEST
    if not control.is_file():
        return {}
    prompts = load_prompts(control, tower)
    directory = features.parent / prompts.metadata["features"]["directory"]
    if not directory.is_dir():
        logger.warning("No features %s: the control random_init is left out.", directory)
        return {}
    return {"random_init": prompt_classifier(prompts, tower, directory, control)}


def _windows_path(request: Request) -> Path:
    return request.windows or Places().windows


def _windows_table(request: Request, prompts: LoadedPrompts) -> pd.DataFrame:
    """The windows table, with something to measure that is of the model's kind."""
    source = _windows_path(request)
    table = read_windows(source)
    kept = table[table["kept"] & table["split"].isin(request.splits)]
    if kept.empty:
        raise DataError(
            f"{source}: no kept window of {' or '.join(request.splits)}; nothing to measure.",
            hint="The reasons of dropped windows stand in its column 'reason'.",
        )
    longest, unit = int(kept["n_rows"].max()), prompts.metadata["config"]["unit_duration"]
    if longest > unit:
        raise DataError(
            f"{source}: has windows of {longest} rows; the model was trained on windows of {unit}.",
            hint=f"Make the windows with train.unit_duration: {unit}, or train again.",
        )
    return table


def _train_labels(table: pd.DataFrame) -> "pd.Series[str]":
    return table.loc[table["kept"] & (table["split"] == "train"), "label"]


def _tell(split: str, windows: LabelledWindows) -> None:
    if not len(windows.labels):
        logger.warning("No kept window of the %s split: its metrics are undefined.", split)
    elif windows.videos_without_windows:
        logger.warning(
            "%d videos of the %s split have no kept window and are in no video metric: %s",
            len(windows.videos_without_windows),
            split,
            ", ".join(windows.videos_without_windows[:_NAMED]),
        )


def _tree(windows: LabelledWindows, scores: Mapping[str, Scores]) -> dict[str, Any]:
    """The metrics of one split: counts, the prompts' numbers, and those of each control."""
    measured = {name: measure_split(windows, found) for name, found in scores.items()}
    own = measured.pop(PROMPTS)
    for level in LEVELS:
        own[level] = {"n": len(getattr(scores[PROMPTS], level).labels), **own[level]}
    controls = {"chance": chance(windows), **measured}
    return {
        "videos_without_windows": len(windows.videos_without_windows),
        **own,
        "control": {name: controls[name] for name in CONTROLS if name in controls},
    }

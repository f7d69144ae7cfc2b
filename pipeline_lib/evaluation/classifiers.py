"""Text features against window features: trained prompts, and controls of the same form."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline_lib.datasets.window_features import TemporalAggregation, pooled_windows
from pipeline_lib.errors import ConfigError, WeightsError
from pipeline_lib.metrics.logits import cosine_logits
from pipeline_lib.networks.text_towers import TextTower, prompt_text_features
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.features import read_manifest
from pipeline_lib.trainers.prompts import LoadedPrompts

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Classifier:
    """One way to name windows.

    Attributes:
        text_features: Normalised, float32 [C, D].
        scale: exp(logit_scale).
        features: Directory of the image features it looks at.
        temporal_agg: How the rows of a window become one.
    """

    text_features: np.ndarray
    scale: float
    features: Path
    temporal_agg: TemporalAggregation


def prompt_classifier(
    prompts: LoadedPrompts, tower: TextTower, features: Path, checkpoint: Path
) -> Classifier:
    """Trained prompts on features of the weights they were trained on.

    Args:
        prompts: What ``checkpoint`` holds.
        tower: The text tower.
        features: Directory of image features.
        checkpoint: For messages.

    Raises:
        DataError: There are no features.
        WeightsError: The features are of other weights.
    """
    manifest = read_manifest(features)
    trained_on = prompts.metadata["features"]
    if manifest.weights_sha256 != trained_on["weights_sha256"]:
        raise WeightsError(
            f"{features}: features of weights {manifest.weights_sha256[:16]}, but {checkpoint} was "
            f"trained on features of {trained_on['weights_sha256'][:16]}.",
            hint="Extract them with the weights it was trained with, or train again: `dvc repro`.",
        )
    if manifest.fingerprint != trained_on["fingerprint"]:
        logger.warning(
            "%s: extracted with other settings (fingerprint %s) than the features that %s was "
            "trained on (%s).",
            features,
            manifest.fingerprint,
            checkpoint,
            trained_on["fingerprint"],
        )
    return Classifier(
        prompts.text_features.float().cpu().numpy(),
        tower.logit_scale,
        features,
        prompts.metadata["config"]["temporal_agg"],
    )


def zero_shot_classifier(
    prompts: LoadedPrompts, tower: TextTower, features: Path, prompt: str
) -> Classifier:
    """A plain prompt with the same class names, tower and features, and no training.

    Args:
        prompts: The trained prompts it is set beside.
        tower: The text tower.
        features: Directory of image features.
        prompt: ``{}`` stands for the class name.

    Raises:
        ConfigError: ``prompt`` has no place for the name, or is too long.
    """
    if "{}" not in prompt:
        raise ConfigError(
            f"evaluate.zero_shot_prompt = {prompt!r} has no place for the class name.",
            hint="Write {} where it belongs: a photo of a {}.",
        )
    names = [name.replace("_", " ") for name in prompts.metadata["prompt_names"]]
    text = prompt_text_features(tower, [prompt.replace("{}", name) for name in names])
    return Classifier(
        text.float().cpu().numpy(),
        tower.logit_scale,
        features,
        prompts.metadata["config"]["temporal_agg"],
    )


def window_logits(
    classifiers: Mapping[str, Classifier], table: pd.DataFrame, progress: Progress = SILENT
) -> dict[str, np.ndarray]:
    """Logits of each classifier for n windows, float64 [n, C]; features are read once.

    Args:
        classifiers: By name.
        table: Rows of the windows table; may be empty.
        progress: Told of each video.

    Raises:
        DataError: A feature file cannot be used.
    """
    read: dict[Path, np.ndarray] = {}
    logits = {}
    for name, classifier in classifiers.items():
        if table.empty:
            logits[name] = np.zeros((0, len(classifier.text_features)))
            continue
        if classifier.features not in read:
            read[classifier.features] = pooled_windows(
                table, classifier.features, classifier.temporal_agg, progress
            )
        logits[name] = cosine_logits(
            read[classifier.features], classifier.text_features, classifier.scale
        )
    return logits

"""What a CoOp run trains on, and the checks that it fits the text tower."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline_lib.config import TrainConfig
from pipeline_lib.datasets.window_features import WindowFeatures, class_list, load_split
from pipeline_lib.errors import ConfigError, DataError, WeightsError, did_you_mean
from pipeline_lib.networks.text_towers import TextTower
from pipeline_lib.paths import nfc
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.features import Manifest, read_manifest

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CoopData:
    """What a run trains on and chooses its best epoch by.

    Attributes:
        class_names: Directories of the C classes.
        prompt_names: Their words in the prompt.
        train: Training windows.
        val: Validation windows.
        source: JSON-able facts about the image features, kept in every checkpoint.
    """

    class_names: tuple[str, ...]
    prompt_names: tuple[str, ...]
    train: WindowFeatures
    val: WindowFeatures
    source: Mapping[str, Any]


def load_data(
    config: TrainConfig,
    tower: TextTower,
    windows: pd.DataFrame,
    directory: Path,
    progress: Progress = SILENT,
) -> CoopData:
    """Load the windows of one backbone's features.

    Args:
        config: The ``train`` section.
        tower: The text tower that the features are compared with.
        windows: The windows table.
        directory: The features.
        progress: Told of each video.

    Raises:
        ConfigError: ``class_names`` names a class that there is not.
        DataError: There are not two classes, or the windows or features cannot be used.
        WeightsError: The features are of another size than the tower's.
    """
    manifest = read_manifest(directory)
    if manifest.dim != tower.dim:
        raise WeightsError(
            f"Features {directory} have {manifest.dim} dimensions, the text tower has "
            f"{tower.dim}: they belong to different models.",
            hint="Extract again with the model of the text tower: `dvc repro extract`.",
        )
    classes = class_list(windows)
    if len(classes) < 2:
        raise DataError(
            f"The training split has one class, {classes[0]!r}; there is nothing to tell apart.",
            hint="Put videos of another class under <data.root>/videos/train/<class>/.",
        )
    return CoopData(
        class_names=classes,
        prompt_names=prompt_names(classes, config.class_names),
        train=load_split(windows, "train", classes, directory, config.temporal_agg, progress),
        val=load_split(windows, "val", classes, directory, config.temporal_agg, progress),
        source={
            "directory": directory.name,
            "fingerprint": manifest.fingerprint,
            "weights_sha256": manifest.weights_sha256,
            "trained": manifest.trained,
        },
    )


def prompt_names(class_names: Sequence[str], words: Mapping[str, str]) -> tuple[str, ...]:
    """The words of each class: those of ``words``, else its directory with spaces.

    Raises:
        ConfigError: ``words`` names a class that there is not.
    """
    words = {nfc(name): text for name, text in words.items()}
    for name in words:
        if name not in class_names:
            raise ConfigError(
                f"train.class_names: there is no class {name!r}.",
                hint=did_you_mean(name, class_names),
            )
    return tuple(words.get(name, name.replace("_", " ")) for name in class_names)


def require_same_weights(manifest: Manifest, tower: TextTower, config: TrainConfig) -> None:
    """Check that features and text tower come from the same trained weights.

    Two models of one size would multiply without complaint and mean nothing together.

    Raises:
        WeightsError: They do not, or the weights are untrained and that is not allowed.
    """
    if manifest.weights_sha256 != tower.weights_sha256:
        raise WeightsError(
            f"Features of {config.backbone!r} were made with weights "
            f"{manifest.weights_sha256[:16]}… ({manifest.weights_id}), the text tower has "
            f"{tower.weights_sha256[:16]}….",
            hint=f"Extract again: `dvc repro extract@{config.backbone}`.",
        )
    if not manifest.trained and not config.allow_untrained:
        raise WeightsError(
            f"Features of {config.backbone!r} come from untrained weights.",
            hint=f"Set extract.{config.backbone}.weights to trained ones, or train.allow_untrained:"
            " true to go on with noise.",
        )


def require_untrained(manifest: Manifest, config: TrainConfig) -> None:
    """Check that the control's features come from random weights.

    Raises:
        WeightsError: They were trained, so they control for nothing.
    """
    if manifest.trained:
        raise WeightsError(
            f"train.control_backbone = {config.control_backbone!r} has trained weights "
            f"({manifest.weights_id}); a random-init control needs untrained ones.",
            hint=f"Set extract.{config.control_backbone}.weights: untrained, or leave "
            "train.control_backbone empty.",
        )


def warn_about(data: CoopData, tower: TextTower) -> None:
    """Log what a run can do with but its user should know: see the messages."""
    counts = np.bincount(data.train.labels, minlength=len(data.class_names))
    for name, words, count in zip(data.class_names, data.prompt_names, counts, strict=True):
        if count == 0:
            logger.warning("class %r has no training window; its prompt learns nothing", name)
        if tower.fragments(words):
            logger.warning(
                "class %r: the text tower spells %r in pieces of characters, which mean nothing "
                "to it; give English words in train.class_names",
                name,
                words,
            )

"""What a CoOp run trains on, and the checks that it fits the text tower."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from pipeline_lib.config import TrainConfig
from pipeline_lib.datasets.window_store import StoreInfo, WindowFeatures, WindowStore
from pipeline_lib.errors import ConfigError, DataError, WeightsError, did_you_mean
from pipeline_lib.networks.text_towers import TextTower
from pipeline_lib.paths import nfc
from pipeline_lib.runtime.seeding import numpy_stream
from pipeline_lib.trainers.coop.samples import Samples, samples
from pipeline_lib.trainers.coop.shots import choose_shots

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CoopData:
    """What a run trains on and chooses its best epoch by.

    Attributes:
        class_names: Directories of the C classes.
        prompt_names: Their words in the prompt.
        train: Training windows.
        val: Validation windows.
        normal_class: The class without events; ``None`` where there is none.
        source: JSON-able facts about the image features, kept in every checkpoint.
        device: Where training runs.
    """

    class_names: tuple[str, ...]
    prompt_names: tuple[str, ...]
    normal_class: str | None
    train: Samples
    val: Samples
    source: Mapping[str, Any]
    device: torch.device

    def with_shots(self, shots: int, seed: int) -> "CoopData":
        """The same with ``shots`` training windows of each class, drawn by ``seed``."""
        chosen = choose_shots(
            self.train.labels,
            self.train.video_of_window,
            shots,
            numpy_stream(seed, "coop", "shots", shots),
        )
        fewer = replace(self, train=self.train.chosen(chosen, self.device))
        for name, count in fewer.windows_per_class().items():
            if count < shots:
                logger.info("class %r has only %d of %d shots", name, count, shots)
        return fewer

    def with_shuffled_labels(self, seed: int) -> "CoopData":
        """The same with the training labels in another order; validation labels stay true."""
        order = numpy_stream(seed, "coop", "shuffled labels").permutation(len(self.train))
        return replace(self, train=self.train.relabelled(self.train.labels[order]))

    def windows_per_class(self) -> dict[str, int]:
        """Training windows of each class."""
        counts = np.bincount(self.train.labels, minlength=len(self.class_names))
        return dict(zip(self.class_names, counts.tolist(), strict=True))

    def sha256(self) -> str:
        """Hex digest of everything but the features, which ``source`` identifies."""
        parts = (*self.class_names, *self.prompt_names, self.train.sha256(), self.val.sha256())
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def load_data(config: TrainConfig, tower: TextTower, store: WindowStore) -> CoopData:
    """The windows of one backbone.

    Args:
        config: The ``train`` section.
        tower: The text tower that the features are compared with.
        store: The packed windows.

    Raises:
        ConfigError: ``class_names`` names a class that there is not.
        DataError: There are not two classes, or the windows were made with other options.
        WeightsError: The features are of another size than the tower's.
    """
    _require_same_options(store, config)
    classes = tuple(store.info.class_names)
    train, val = (store.split(name, classes) for name in ("train", "val"))
    return coop_data(
        config,
        tower,
        train,
        val,
        class_names=classes,
        normal_class=store.info.normal_class,
        source=_source_of(store.info),
    )


def coop_data(
    config: TrainConfig,
    tower: TextTower,
    train: WindowFeatures,
    val: WindowFeatures,
    *,
    class_names: tuple[str, ...],
    normal_class: str | None,
    source: Mapping[str, Any],
) -> CoopData:
    """Training and validation windows, checked against each other and the tower.

    Args:
        config: The ``train`` section; ``class_names`` is used.
        tower: The text tower that the features are compared with.
        train: Training windows.
        val: Validation windows.
        class_names: The C classes, in the order of the labels.
        normal_class: The one of them without events, if there is one.
        source: JSON-able facts about the image features; ``directory`` among them.

    Raises:
        ConfigError: ``config.class_names`` names a class that there is not.
        DataError: There are not two classes.
        WeightsError: The features are of another size than the tower's.
    """
    if train.features.shape[1] != tower.dim:
        raise WeightsError(
            f"Features {source['directory']!r} have {train.features.shape[1]} dimensions, the text "
            f"tower has {tower.dim}: they belong to different models.",
            hint="Extract again with the model of the text tower: `dvc repro`.",
        )
    if len(class_names) < 2:
        raise DataError(
            f"The training split has one class, {class_names[0]!r}; there is nothing to tell "
            "apart.",
            hint="Put videos of another class under <data.root>/videos/train/<class>/.",
        )
    return CoopData(
        class_names=class_names,
        prompt_names=prompt_names(class_names, config.class_names),
        normal_class=normal_class,
        train=samples(train, class_names, tower.device),
        val=samples(val, class_names, tower.device),
        source=source,
        device=tower.device,
    )


def _source_of(info: StoreInfo) -> dict[str, Any]:
    """The facts about a store's features that every checkpoint keeps."""
    return {
        "directory": info.backbone,
        "fingerprint": info.fingerprint,
        "weights_id": info.weights_id,
        "weights_sha256": info.weights_sha256,
        "trained": info.trained,
        "matrix_sha256": info.features_sha256,
    }


def prompt_names(class_names: Sequence[str], words: Mapping[str, str]) -> tuple[str, ...]:
    """The words of each class: those of ``words``, else its directory with spaces.

    Raises:
        ConfigError: ``words`` names a class that there is not, or gives one no word.
    """
    words = {nfc(name): text for name, text in words.items()}
    for name in words:
        if name not in class_names:
            raise ConfigError(
                f"train.class_names: there is no class {name!r}.",
                hint=did_you_mean(name, class_names),
            )
        if not words[name].replace("_", " ").strip():
            raise ConfigError(
                f"train.class_names.{name} is empty; the prompt of that class would hold no word.",
                hint="Give it words, or remove the line: then the directory's name stands there.",
            )
    return tuple(words.get(name, name.replace("_", " ")) for name in class_names)


def require_same_weights(info: StoreInfo, tower: TextTower, config: TrainConfig) -> None:
    """Check that features and text tower come from the same trained weights.

    Two models of one size would multiply without complaint and mean nothing together.

    Raises:
        WeightsError: They do not, or the weights are untrained and that is not allowed.
    """
    if info.weights_sha256 != tower.weights_sha256:
        raise WeightsError(
            f"Features of {config.backbone!r} were made with weights "
            f"{info.weights_sha256[:16]}… ({info.weights_id}), the text tower has "
            f"{tower.weights_sha256[:16]}….",
            hint=f"Extract again: `dvc repro extract@{config.backbone}`.",
        )
    if not info.trained and not config.allow_untrained:
        raise WeightsError(
            f"Features of {config.backbone!r} come from untrained weights.",
            hint=f"Set extract.{config.backbone}.weights to trained ones, or train.allow_untrained:"
            " true to go on with noise.",
        )


def require_untrained(info: StoreInfo, config: TrainConfig) -> None:
    """Check that the control's features come from random weights.

    Raises:
        WeightsError: They were trained, so they control for nothing.
    """
    if info.trained:
        raise WeightsError(
            f"train.control_backbone = {config.control_backbone!r} has trained weights "
            f"({info.weights_id}); a random-init control needs untrained ones.",
            hint=f"Set extract.{config.control_backbone}.weights: untrained, or leave "
            "train.control_backbone empty.",
        )


def _require_same_options(store: WindowStore, config: TrainConfig) -> None:
    for name in ("temporal_agg", "unit_duration"):
        packed, wanted = getattr(store.info, name), getattr(config, name)
        if packed != wanted:
            raise DataError(
                f"{store.path}: packed with train.{name} = {packed!r}, now it is {wanted!r}.",
                hint="Pack the windows again: `dvc repro pack-windows`.",
            )


def warn_about(data: CoopData, tower: TextTower) -> None:
    """Log what a run can do with but its user should know: see the messages."""
    counts = data.windows_per_class()
    for name, words in zip(data.class_names, data.prompt_names, strict=True):
        if counts[name] == 0:
            logger.warning("class %r has no training window; its prompt learns nothing", name)
        if tower.fragments(words):
            logger.warning(
                "class %r: the text tower spells %r in pieces of characters, which mean nothing "
                "to it; give English words in train.class_names",
                name,
                words,
            )

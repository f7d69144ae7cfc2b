"""Linear classifiers of window features: trained prompts, and controls of the same form."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline_lib.datasets.window_store import INDEX, WindowStore
from pipeline_lib.errors import ConfigError, DataError, WeightsError
from pipeline_lib.metrics.logits import affine_logits
from pipeline_lib.networks.text_towers import TextTower, prompt_text_features
from pipeline_lib.trainers.checkpoints import read_checkpoint, require_tensors

logger = logging.getLogger(__name__)

# Far enough from 0 that the answer has probability 1.
_CERTAIN = 1000.0


@dataclass(frozen=True)
class Classifier:
    """One way to name windows: logits are f @ weights^T + bias.

    Attributes:
        weights: float64 [C, D].
        bias: float64 [C].
        store: The windows it looks at.
    """

    weights: np.ndarray
    bias: np.ndarray
    store: WindowStore

    def logits(self, split: str) -> np.ndarray:
        """Logits of the n windows of a split, float64 [n, C]; features are read in pieces."""
        return affine_logits(self.store.features(split), self.weights, self.bias)


def text_classifier(text_features: np.ndarray, scale: float, store: WindowStore) -> Classifier:
    """CLIP's classifier: the cosine to each text, times a factor.

    Args:
        text_features: Normalised, float32 [C, D].
        scale: exp(logit_scale).
        store: The windows it looks at.
    """
    weights = text_features.astype(np.float64) * scale
    return Classifier(weights, np.zeros(len(weights)), store)


def constant_classifier(always: int, classes: int, store: WindowStore) -> Classifier:
    """A model that is certain of the class ``always`` whatever it sees."""
    bias = _CERTAIN * np.eye(classes)[always]
    return Classifier(np.zeros((classes, store.info.dim)), bias, store)


def linear_probe(checkpoint: Path, class_names: tuple[str, ...], store: WindowStore) -> Classifier:
    """A linear probe trained on the same features.

    Args:
        checkpoint: Its tensors ``weight`` [C, D] and ``bias`` [C].
        class_names: The classes it must have.
        store: The windows it looks at.

    Raises:
        WeightsError: The file is no linear probe, or has other classes or features.
    """
    tensors, metadata = read_checkpoint(checkpoint)
    if metadata.get("trainer") != "linear_probe":
        raise WeightsError(f"{checkpoint}: not a linear probe.", hint="Train again: `dvc repro`.")
    require_same_classes(checkpoint, metadata, class_names)
    require_same_features(checkpoint, metadata, store)
    shapes = {"weight": (len(class_names), store.info.dim), "bias": (len(class_names),)}
    require_tensors(checkpoint, tensors, shapes)
    weight, bias = (tensors[name].double().numpy() for name in shapes)
    return Classifier(weight, bias, store)


def zero_shot_text(tower: TextTower, prompt: str, names: list[str]) -> np.ndarray:
    """Text features of a plain prompt that nothing was trained for, normalised float32 [C, D].

    Args:
        tower: The text tower.
        prompt: ``{}`` stands for the class name.
        names: Words of the C classes.

    Raises:
        ConfigError: ``prompt`` has no place for the name, or is too long.
    """
    if "{}" not in prompt:
        raise ConfigError(
            f"evaluate.zero_shot_prompt = {prompt!r} has no place for the class name.",
            hint="Write {} where it belongs: a photo of a {}.",
        )
    texts = [prompt.replace("{}", name.replace("_", " ")) for name in names]
    try:
        return np.asarray(prompt_text_features(tower, texts).float().cpu().numpy())
    except ConfigError as error:
        raise ConfigError(f"evaluate.zero_shot_prompt: {error.message}", hint=error.hint) from None


def require_same_classes(
    checkpoint: Path, metadata: Mapping[str, Any], class_names: tuple[str, ...]
) -> None:
    """Check that a control names the model's classes, in the model's order.

    Raises:
        WeightsError: It does not.
    """
    if tuple(metadata["class_names"]) != class_names:
        raise WeightsError(
            f"{checkpoint}: has classes {', '.join(metadata['class_names'])}; the model beside it "
            f"has {', '.join(class_names)}.",
            hint="They are of different trainings; train again: `dvc repro`.",
        )


def require_same_features(
    checkpoint: Path, metadata: Mapping[str, Any], store: WindowStore
) -> None:
    """Check that a store's features are of the weights a checkpoint was trained on.

    Features of the same weights that were extracted in another way are told in the log; an
    imported checkpoint does not say how its features were.

    Raises:
        WeightsError: They are of other weights.
    """
    trained_on, info = metadata["features"], store.info
    if info.weights_sha256 != trained_on["weights_sha256"]:
        raise WeightsError(
            f"{store.path}: features of weights {info.weights_sha256[:16]}, but {checkpoint} was "
            f"trained on features of {trained_on['weights_sha256'][:16]}.",
            hint="Extract them with the weights it was trained with, or train again: `dvc repro`.",
        )
    if trained_on["fingerprint"] not in (None, info.fingerprint):
        logger.warning(
            "%s: extracted with other settings (fingerprint %s) than the features that %s was "
            "trained on (%s).",
            store.path,
            info.fingerprint,
            checkpoint,
            trained_on["fingerprint"],
        )


def require_same_windows(store: WindowStore, other: WindowStore) -> None:
    """Check that two stores hold the same windows, of different features.

    Raises:
        DataError: They do not.
    """
    if store.info.tables_sha256[INDEX] != other.info.tables_sha256[INDEX]:
        raise DataError(
            f"{other.path}: holds other windows than {store.path}, so their numbers cannot stand "
            "side by side.",
            hint="Pack both again: `dvc repro pack-windows`.",
        )

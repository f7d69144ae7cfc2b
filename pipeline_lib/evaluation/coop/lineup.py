"""Everything that names the windows of one evaluation: a model, its controls, its other seeds.

Controls stand beside the checkpoint, where training wrote them. One that is not there is left out.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np

from pipeline_lib.config import EvaluateConfig
from pipeline_lib.datasets.window_store import WindowStore, open_store
from pipeline_lib.errors import DataError, WeightsError
from pipeline_lib.evaluation.coop.classifiers import (
    Classifier,
    constant_classifier,
    linear_probe,
    require_same_classes,
    require_same_features,
    require_same_windows,
    text_classifier,
    zero_shot_text,
)
from pipeline_lib.evaluation.coop.controls import majority_class
from pipeline_lib.networks.text_towers import TextTower
from pipeline_lib.trainers.checkpoints import read_checkpoint
from pipeline_lib.trainers.coop.prompts import LoadedPrompts, load_prompts
from pipeline_lib.trainers.coop.runs import LINEAR_PROBE, RANDOM_INIT, SHUFFLED_LABELS

logger = logging.getLogger(__name__)

CONTROLS = (
    "chance", "majority", "zero_shot", "linear_probe", "shuffled", "random_init",
)  # fmt: skip
_NEEDED = (
    "temporal_agg", "unit_duration", "normal_class", "features", "class_names", "prompt_names",
    "config", "recipe", "backbone", "weights_sha256",
)  # fmt: skip


@dataclass(frozen=True)
class Lineup:
    """A model and what its numbers stand beside.

    Attributes:
        prompts: The trained prompts.
        model: The prompts as a classifier.
        controls: By name, in the order of ``CONTROLS``; ``chance`` is no classifier.
        seeds: The prompts of the other seeds of the same training.
        zero_shot_text: Text features of the zero-shot prompt, normalised float32 [C, D].
        scale: exp(logit_scale).
        store: The windows.
    """

    prompts: LoadedPrompts
    model: Classifier
    controls: dict[str, Classifier]
    seeds: tuple[Classifier, ...]
    zero_shot_text: np.ndarray
    scale: float
    store: WindowStore

    @property
    def text_features(self) -> np.ndarray:
        """Text features of the trained prompts, normalised float32 [C, D]."""
        return np.asarray(self.prompts.text_features.float().cpu().numpy())


def checkpoint_name(config: EvaluateConfig) -> str:
    """The checkpoint of a training that is evaluated."""
    return f"coop_{config.checkpoint}.safetensors"


def _name_beside(checkpoint: Path, config: EvaluateConfig) -> str:
    """The controls' checkpoint: best beside best and final beside final, else the parameters'."""
    kinds = get_args(get_type_hints(EvaluateConfig)["checkpoint"])
    names = {checkpoint_name(replace(config, checkpoint=kind)) for kind in kinds}
    return checkpoint.name if checkpoint.name in names else checkpoint_name(config)


def line_up(
    checkpoint: Path, tower: TextTower, store: WindowStore, config: EvaluateConfig
) -> Lineup:
    """Load a checkpoint and whatever stands beside it; all options come from the checkpoint.

    Args:
        checkpoint: The prompts.
        tower: The text tower they were trained with.
        store: The windows to name.
        config: The ``evaluate`` section.

    Raises:
        ConfigError: The zero-shot prompt has no place for the name.
        DataError: The windows are of another kind than the prompts were trained on.
        WeightsError: Checkpoints, text tower and features do not belong together.
    """
    prompts = _load(checkpoint, tower, store)
    text = prompts.text_features.float().cpu().numpy()
    names = prompts.metadata["prompt_names"]
    zero_shot = zero_shot_text(tower, config.zero_shot_prompt, names)
    model = text_classifier(text, tower.logit_scale, store)
    controls = {"zero_shot": text_classifier(zero_shot, tower.logit_scale, store)}
    beside = _name_beside(checkpoint, config)
    controls |= _trained_controls(checkpoint, tower, store, prompts, beside)
    majority = majority_class(prompts.metadata.get("train_windows_per_class"), prompts.class_names)
    if majority is not None:
        controls["majority"] = constant_classifier(majority, len(prompts.class_names), store)
    for name in CONTROLS[1:]:
        if name not in controls:
            logger.info("%s: the control %s is not there and left out.", checkpoint.parent, name)
    return Lineup(
        prompts=prompts,
        model=model,
        controls={name: controls[name] for name in CONTROLS if name in controls},
        seeds=tuple(_other_seeds(checkpoint, tower, store, prompts, beside)),
        zero_shot_text=zero_shot,
        scale=tower.logit_scale,
        store=store,
    )


def require_metadata(checkpoint: Path, metadata: dict[str, Any]) -> None:
    """Check that a checkpoint says what an evaluation has to know.

    Raises:
        WeightsError: It is none of CoOp, or of an earlier version.
    """
    if metadata.get("trainer") != "coop":
        raise WeightsError(
            f"{checkpoint}: not a CoOp checkpoint.", hint="Use one below data/models/coop."
        )
    missing = [name for name in _NEEDED if name not in metadata]
    if missing:
        raise WeightsError(
            f"{checkpoint}: does not say its {missing[0]}; it is of an earlier version.",
            hint="Train again: `dvc repro train-coop`.",
        )


def _load(checkpoint: Path, tower: TextTower, store: WindowStore) -> LoadedPrompts:
    """Prompts that fit the store."""
    require_metadata(checkpoint, read_checkpoint(checkpoint)[1])
    prompts = load_prompts(checkpoint, tower)
    require_same_features(checkpoint, prompts.metadata, store)
    wanted = prompts.metadata["temporal_agg"]
    if store.info.temporal_agg != wanted:
        raise DataError(
            f"{store.path}: windows pooled by {store.info.temporal_agg}; {checkpoint} was trained "
            f"on windows pooled by {wanted}.",
            hint=f"Pack them with train.temporal_agg: {wanted}, or train again.",
        )
    return prompts


def _trained_controls(
    checkpoint: Path, tower: TextTower, store: WindowStore, model: LoadedPrompts, name: str
) -> Iterator[tuple[str, Classifier]]:
    """The controls that were trained with the model, those that are there."""
    folder = checkpoint.parent
    if (folder / LINEAR_PROBE).is_file():
        probe = linear_probe(folder / LINEAR_PROBE, model.class_names, store)
        yield "linear_probe", probe
    shuffled = folder / SHUFFLED_LABELS / name
    if shuffled.is_file():
        yield "shuffled", _beside(shuffled, tower, store, model)
    untrained = folder / RANDOM_INIT / name
    if untrained.is_file():
        sibling = store.path.parent / read_checkpoint(untrained)[1]["features"]["directory"]
        if sibling.is_dir():
            other = open_store(sibling)
            require_same_windows(store, other)
            yield "random_init", _beside(untrained, tower, other, model)
        else:
            logger.warning("No windows %s: the control random_init cannot be measured.", sibling)


def _other_seeds(
    checkpoint: Path, tower: TextTower, store: WindowStore, model: LoadedPrompts, name: str
) -> Iterator[Classifier]:
    """The other seeds' prompts of the same kind; none beside a checkpoint of some other epoch."""
    if checkpoint.name == name:
        for path in sorted(checkpoint.parent.glob(f"seed_*/{name}")):
            yield _beside(path, tower, store, model)


def _beside(
    checkpoint: Path, tower: TextTower, store: WindowStore, model: LoadedPrompts
) -> Classifier:
    prompts = _load(checkpoint, tower, store)
    require_same_classes(checkpoint, prompts.metadata, model.class_names)
    text = prompts.text_features.float().cpu().numpy()
    return text_classifier(text, tower.logit_scale, store)

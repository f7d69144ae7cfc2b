"""Prompts that another program learned, as a checkpoint of this pipeline."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline_lib.annotations.names import match_name
from pipeline_lib.backbones.weight_files import UNTRAINED
from pipeline_lib.config import Params, TrainConfig, as_dict
from pipeline_lib.datasets.window_store import STORE, open_store
from pipeline_lib.errors import DataError, WeightsError
from pipeline_lib.networks.text_prompt import PromptLearner
from pipeline_lib.networks.text_towers import TextTower
from pipeline_lib.params_file import override
from pipeline_lib.trainers.checkpoints import write_checkpoint
from pipeline_lib.trainers.coop.prompts import load_text_tower
from pipeline_lib.trainers.coop_import.foreign_checkpoints import ForeignPrompts, read_foreign
from pipeline_lib.trainers.coop_import.imported_classes import (
    ImportedClass,
    parse_classes,
    recovered_classes,
    unverified_classes,
    verified_classes,
)
from pipeline_lib.trainers.coop_import.suffix_words import UNKNOWN, nearest_tokens

log = logging.getLogger(__name__)

CHECKPOINT = "coop_best.safetensors"
# Stands beside the checkpoints of a training and its controls.
_TRAINING = "coop_final.safetensors"


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What a foreign checkpoint does not say.

    Attributes:
        backbone: The section of ``extract`` whose text tower it was trained with.
        class_token_position: ``end``, ``middle`` or ``front``.
        classes: Class directories in the checkpoint's order, with commas; each may be followed by
            ``=`` and its words in the prompt. ``None`` takes them from the checkpoint.
        out: Where ``coop_best.safetensors`` goes.
        windows: Holds the packed windows, one directory a backbone.
    """

    backbone: str = "clip"
    class_token_position: str = "end"
    classes: str | None = None
    out: Path = Path("data/models/imported")
    windows: Path = Path("data/windows")


def import_prompts(path: Path, params: Params, options: ImportOptions) -> str:
    """Turn a CoOp checkpoint of another program into one that ``evaluate coop`` takes.

    Args:
        path: A checkpoint of KaiyangZhou/CoOp, or of a script that keeps the same tensors.
        params: ``extract`` holds the text tower; ``train`` says what the checkpoint does not:
            how windows are made and which class is normal.
        options: What else it does not say.

    Returns:
        What was written, for people.

    Raises:
        ConfigError: An option is wrong, or the classes have to be named.
        DataError: The classes are not those of the checkpoint, or ``out`` holds a training.
        WeightsError: The file cannot be used, or is of another text tower.
    """
    config = override(params.train.coop, {"class_token_position": options.class_token_position})
    if (options.out / _TRAINING).exists():
        raise DataError(
            f"{options.out} holds a training; its controls are not those of imported prompts.",
            hint="Choose another --out.",
        )
    found = read_foreign(path)
    tower = load_text_tower(params.extract, options.backbone, torch.device("cpu"))
    _require_fit(found, tower, options.backbone)
    classes = _classes(found, tower, config, options)
    config = _as_trained(config, found, classes, options.backbone)
    # Whatever keeps these prompts from being read would otherwise show up in the evaluation.
    PromptLearner(tower, [one.words for one in classes], found.context, config.class_token_position)
    if found.mixes_classes:
        log.warning(
            "%s is of the script for video features. Its text encoder attended across classes in "
            "place of tokens, so its accuracy cannot be reproduced: through the right encoder "
            "these vectors give other numbers. Train again to have prompts that fit.",
            path,
        )
    target = options.out / CHECKPOINT
    description = _describe(found, tower, classes, config)
    write_checkpoint(target, {"ctx": found.context}, description)
    kind = "one for each class" if config.csc else "shared"
    return (
        f"wrote {target}: context of {config.n_ctx} vectors, {kind}; {len(classes)} classes: "
        f"{', '.join(map(str, classes))}"
    )


def _as_trained(
    config: TrainConfig, found: ForeignPrompts, classes: Sequence[ImportedClass], backbone: str
) -> TrainConfig:
    """The ``train`` section with what the checkpoint says."""
    return dataclasses.replace(
        config,
        backbone=backbone,
        n_ctx=found.context.shape[-2],
        ctx_init=None,
        csc=found.context.dim() == 3,
        class_names={one.directory: one.words for one in classes},
    )


def _require_fit(found: ForeignPrompts, tower: TextTower, backbone: str) -> None:
    """Sizes tell many wrong towers at once."""
    length, width = found.context.shape[-2:]
    if width != tower.width:
        raise WeightsError(
            f"{found.path}: context vectors of {width} numbers; the text tower of "
            f"extract.{backbone} has {tower.width}.",
            hint="Name the backbone whose text tower it was trained with: --backbone.",
        )
    if found.suffix is None:
        return
    classes, rest = found.suffix.shape[:2]
    if found.suffix.shape[2] != width or 1 + length + rest != tower.context_length:
        raise WeightsError(
            f"{found.path}: prompts of {1 + length + rest} embeddings of {found.suffix.shape[2]} "
            f"numbers; the text tower of extract.{backbone} reads {tower.context_length} of "
            f"{width}."
        )
    counts = {classes}
    counts |= {len(found.context)} if found.context.dim() == 3 else set()
    counts |= set() if found.prefix is None else {len(found.prefix)}
    if len(counts) > 1 or (found.prefix is not None and found.prefix.shape[1:] != (1, width)):
        raise WeightsError(f"{found.path}: its tensors are of different numbers of classes.")


def _suffix_tokens(
    found: ForeignPrompts, suffix: Tensor, tower: TextTower, backbone: str
) -> Tensor:
    """Tokens of what follows the context, int64 [C, m]."""
    frozen = suffix if found.prefix is None else torch.cat([suffix, found.prefix], dim=1)
    tokens = nearest_tokens(tower, frozen)
    unknown = int((tokens == UNKNOWN).sum())
    if unknown:
        raise WeightsError(
            f"{found.path} is of another text tower than extract.{backbone}: {unknown} of its "
            f"{tokens.numel()} frozen embeddings are of no token there.",
            hint=f"Set extract.{backbone} to the model it was trained with, or name another "
            "--backbone.",
        )
    return tokens[:, : suffix.shape[1]]


def _classes(
    found: ForeignPrompts, tower: TextTower, config: TrainConfig, options: ImportOptions
) -> list[ImportedClass]:
    """The classes in the checkpoint's order."""
    given = None if options.classes is None else parse_classes(options.classes, config)
    if found.suffix is None:
        return unverified_classes(found, given)
    tokens = _suffix_tokens(found, found.suffix, tower, options.backbone)
    if given is not None:
        return verified_classes(found, given, tokens, tower)
    folder = options.windows / options.backbone
    directories: tuple[str, ...] = ()
    if (folder / STORE).is_file():
        directories = open_store(folder).info.class_names
    return recovered_classes(found, directories, tokens, tower, config)


def _describe(
    found: ForeignPrompts, tower: TextTower, classes: Sequence[ImportedClass], config: TrainConfig
) -> Mapping[str, Any]:
    """A description as the trainer's own; what is not known is null."""
    names = [one.directory for one in classes]
    return {
        "trainer": "coop",
        "class_names": names,
        "prompt_names": [one.words for one in classes],
        "n_ctx": config.n_ctx,
        "config": as_dict(config),
        "recipe": {"precision": "fp32"},
        "seed": None,
        "temporal_agg": config.temporal_agg,
        "unit_duration": config.unit_duration,
        "normal_class": match_name(config.normal_class, names),
        "train_windows_per_class": None,
        "backbone": config.backbone,
        "weights_sha256": tower.weights_sha256,
        "features": {
            "directory": config.backbone,
            "fingerprint": None,
            "weights_sha256": tower.weights_sha256,
            "trained": not tower.weights_sha256.startswith(UNTRAINED),
        },
        "epoch": found.epoch,
        "val": {"loss": None, "accuracy": None, "balanced_accuracy": None, "video_accuracy": None},
        "imported_from": {
            "file": found.path.name,
            "sha256": found.sha256,
            "epoch": found.epoch,
            "val_loss": found.val_loss,
            "val_acc": found.val_accuracy,
        },
    }

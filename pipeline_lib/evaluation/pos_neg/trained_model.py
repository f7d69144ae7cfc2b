"""A fine-tuned CLIP as training left it: a model folder, and the settings that stand beside it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from pipeline_lib.config import PosNegConfig
from pipeline_lib.datasets.mined import Mined
from pipeline_lib.datasets.question_split import split_of_items
from pipeline_lib.errors import DataError, WeightsError, did_you_mean
from pipeline_lib.trainers.pos_neg.data import data_of

_SETTINGS = "config.json"
_TRAINER = "pos_neg"
_AGAIN = "Train again: `dvc repro train-pos-neg`."


@dataclass(frozen=True)
class TrainedModel:
    """What a training says of itself.

    Attributes:
        folder: The model.
        settings: The section ``train.pos_neg`` it was made with.
        source_sha256: Of the weights that it started from.
        data_sha256: Of the items and pictures that it was trained and selected on.
    """

    folder: Path
    settings: PosNegConfig
    source_sha256: str
    data_sha256: str


def read_trained(folder: Path) -> TrainedModel:
    """Read what stands beside a model folder.

    Args:
        folder: Such as ``data/models/pos_neg/best``.

    Raises:
        WeightsError: It is not there, is no model of this trainer, or was made by another version.
    """
    if not folder.is_dir():
        raise WeightsError(
            f"No model folder {folder}.",
            hint="`dvc repro train-pos-neg` makes data/models/pos_neg/best.",
        )
    written = _facts(folder / _SETTINGS)
    if written is not None:
        raise WeightsError(
            f"{folder} holds several models.",
            hint=f"Give one of them: {', '.join(_named(folder, written))}.",
        )
    path = folder.absolute().parent / _SETTINGS
    facts = _facts(path)
    if facts is None:
        raise WeightsError(
            f"{folder}: not a CLIP fine-tuned by `clipline train pos_neg`, which leaves {path}.",
            hint="Give a folder such as data/models/pos_neg/best, with what stands beside it.",
        )
    if folder.absolute().name not in facts["checkpoints"]:
        raise WeightsError(
            f"{folder}: {path} does not know it.",
            hint=did_you_mean(folder.absolute().name, facts["checkpoints"]),
        )
    try:
        # JSON mode takes a list where a tuple is declared, as params.yaml does.
        settings = TypeAdapter(PosNegConfig).validate_json(json.dumps(facts["config"]))
        source, data = facts["source"]["weights_sha256"], facts["data"]["sha256"]
    except (ValidationError, KeyError, TypeError):
        raise WeightsError(f"{path}: written by another version.", hint=_AGAIN) from None
    return TrainedModel(folder, settings, source, data)


def splits_as_trained(trained: TrainedModel, mined: Mined) -> "pd.Series[str]":
    """The split of every item, with the items of train and val as the training saw them.

    Args:
        trained: The model.
        mined: What mining left.

    Returns:
        ``train``, ``val`` or ``test``, aligned with the items; empty where nothing is known.

    Raises:
        DataError: Items or pictures of train or val are others than those of the training: what it
            saw may now be called test.
    """
    splits = split_of_items(mined.items, trained.settings)
    if data_of(mined, splits, trained.settings).sha256() != trained.data_sha256:
        raise DataError(
            f"{mined.directory} has changed since {trained.folder} was trained, so it may "
            "have seen what is called val or test now.",
            hint=f"{_AGAIN} Or bring back the frames it was trained on.",
        )
    return splits


def _facts(path: Path) -> dict[str, Any] | None:
    """What this trainer wrote; ``None`` where a file is another's or not there."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    ours = isinstance(facts, dict) and facts.get("trainer") == _TRAINER
    return facts if ours and isinstance(facts.get("checkpoints"), dict) else None


def _named(folder: Path, facts: dict[str, Any]) -> list[str]:
    return [str(folder / name) for name in facts["checkpoints"]]

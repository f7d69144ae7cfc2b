"""What a finished training on true and negative frames leaves behind."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline_lib.backbones.clip_saving import ClipWeights, write_clip
from pipeline_lib.config import ClipConfig
from pipeline_lib.storage.atomic import write_json
from pipeline_lib.storage.directories import replacing_directory
from pipeline_lib.storage.tables import write_csv
from pipeline_lib.trainers.checkpoints import read_checkpoint
from pipeline_lib.trainers.loop import published_epochs
from pipeline_lib.trainers.pos_neg.data import PosNegData
from pipeline_lib.trainers.pos_neg.model import TrainableClip
from pipeline_lib.trainers.resume import Record, RunFolder


def publish(
    record: Record,
    folder: RunFolder,
    model: TrainableClip,
    source: ClipConfig,
    data: PosNegData,
    facts: Mapping[str, Any],
    out: Path,
) -> None:
    """Replace ``out`` by a model folder for each published epoch, and what they are made from.

    Args:
        record: The finished run.
        folder: Its checkpoints.
        model: Takes them over, one after another.
        source: The section it was loaded from.
        data: What it was trained on.
        facts: JSON-able: settings and origin, for ``config.json``.
        out: Gets ``best/``, ``final/``, ``ep…/``, ``config.json`` (``facts``, and epoch and val
            metrics of each model) and ``split.csv`` (which item was in which split).
    """
    checkpoints = {}
    with replacing_directory(out) as made:
        for name, epoch in published_epochs(record).items():
            tensors, checkpoints[name] = read_checkpoint(folder.checkpoint(epoch))
            model.load_state(tensors)
            save_clip(model, source, made / name)
        write_json(made / "config.json", {**facts, "checkpoints": checkpoints})
        write_csv(made / "split.csv", data.split)


def save_clip(model: TrainableClip, source: ClipConfig, out: Path) -> None:
    """Write ``model`` as a folder in the format of the model it was made from.

    The folder is replaced as a whole; equal weights give equal bytes. Weights are stored in fp32,
    low-rank additions merged, without ``logit_bias``. A CLIP of transformers becomes one that
    ``CLIPModel.from_pretrained`` and ``CLIPProcessor.from_pretrained`` load offline; every other
    becomes an open_clip folder. ``ClipConfig(model=f"local-dir:{out}")`` names either.

    Args:
        model: The trained model.
        source: The section it was loaded from.
        out: The folder.

    Raises:
        WeightsError: A weight is not a finite number, or files of the source are gone.
    """
    clip = ClipWeights(model.clip_tensors(), model.tokenizer, model.preprocess)
    write_clip(clip, source, out)

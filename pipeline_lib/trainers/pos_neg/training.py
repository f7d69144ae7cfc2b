"""Fine-tuning of a CLIP so that a question finds the frames that answer it."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline_lib.backbones.loading import clip_section
from pipeline_lib.config import ClipConfig, Params, PosNegConfig, as_dict
from pipeline_lib.errors import ConfigError
from pipeline_lib.runtime.device import (
    choose_precision,
    precision_name,
    set_threads,
)
from pipeline_lib.runtime.distributed import ALONE, Group, joined
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.tables import write_csv
from pipeline_lib.trainers.loop import Plan, fit, history_table, require_choice, warn_of_harm
from pipeline_lib.trainers.pos_neg.data import PosNegData, load_data
from pipeline_lib.trainers.pos_neg.embedding import Towers
from pipeline_lib.trainers.pos_neg.losses import MINED, OTHER, choose_loss
from pipeline_lib.trainers.pos_neg.model import TrainableClip, load_trainable
from pipeline_lib.trainers.pos_neg.pixels import open_pixels, write_pixels
from pipeline_lib.trainers.pos_neg.publishing import publish
from pipeline_lib.trainers.pos_neg.task import PosNegTask
from pipeline_lib.trainers.repeating import repeatable
from pipeline_lib.trainers.resume import Record, Row, RunFolder, run_fingerprint

logger = logging.getLogger(__name__)

# Features of so few numbers come from networks whose products are done before a second thread has
# woken up; on a busy machine waiting for it makes an epoch ten times longer.
_ONE_THREAD = 128


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where the trainer reads and writes; the defaults are the pipeline's own.

    Attributes:
        mined: What the stage ``mine`` wrote.
        out: A model folder for each published epoch, ``config.json`` and ``split.csv``.
        history: CSV of the epochs.
        tensorboard: Holds one directory a run; part of no result.
        scratch: Holds the state of unfinished runs.
    """

    mined: Path = Path("data/mined")
    out: Path = Path("data/models/pos_neg")
    history: Path = Path("metrics/plots/pos_neg/history.csv")
    tensorboard: Path = Path("data/tensorboard/pos_neg")
    scratch: Path = Path("data/.scratch")


@dataclass(frozen=True)
class Trained:
    """A finished training.

    Attributes:
        record: Its history.
        before: The ``val_…`` values of the model it started from.
    """

    record: Record
    before: Row


def train(params: Params, *, scratch: Path, progress: Progress) -> str:
    """The stage ``train pos_neg``; see :class:`pipeline_lib.trainers.Trainer`."""
    places = Places(scratch=scratch)
    with joined(params.runtime.device) as group, repeatable(group.device):
        trained = train_pos_neg(
            params.train.pos_neg,
            clip_section(params.train.pos_neg.backbone, params.extract, "train.pos_neg.backbone"),
            places,
            group,
            threads=params.runtime.threads,
            progress=progress if group.is_main else SILENT,
        )
    return _summary(trained, places) if group.is_main else ""


def train_pos_neg(
    config: PosNegConfig,
    section: ClipConfig,
    places: Places,
    group: Group = ALONE,
    *,
    threads: int = 0,
    progress: Progress = SILENT,
) -> Trained:
    """Train a CLIP, or what is left of a training that was killed, and publish it.

    Every process of ``group`` calls this; the first one writes.

    Args:
        config: The section ``train.pos_neg``.
        section: The CLIP to start from.
        places: Inputs and outputs.
        group: The processes that train together, and their devices.
        threads: CPU threads; 0 takes what the network can use.
        progress: Told of each epoch.

    Raises:
        ConfigError: Unknown loss, a mode that the model does not have, no val items to choose the
            best epoch by, a loss that finds nothing to compare, or training diverged.
        DataError: The mined frames cannot be used.
        WeightsError: The weights are missing or do not fit.
    """
    set_threads(threads)
    dtype = choose_precision(config.precision, group.device)
    choose_loss(config.loss)  # before anything is read
    data = load_data(places.mined, config)
    model = load_trainable(section, config, group.device)
    _check(data, model, config)
    facts = _facts(config, section, model, data, group.from_main(_digest(data, group)), dtype)
    name = run_fingerprint(facts)
    folder = RunFolder(places.scratch / name)
    towers = _towers(model, data, folder.path / "pixels.npy", dtype, group, progress)
    if not threads and towers.dim <= _ONE_THREAD:
        set_threads(1)
    task = PosNegTask(config, model, towers, data, group, fp16=dtype == torch.float16)
    plan = _plan(config, section, group)
    before = task.validate()
    require_choice(before, plan, "Mine negatives for val items")
    record = fit(task, plan, folder, places.tensorboard / name, progress, group)
    warn_of_harm(before, record, plan)
    if group.is_main:
        facts |= {"trained_parameters": model.parameter_count, "val_before": before}
        publish(record, folder, model, section, data, facts, places.out)
        write_csv(places.history, history_table(record))
        folder.discard()
    return Trained(record, before)


def _digest(data: PosNegData, group: Group) -> str:
    """Reads all pictures, which one process is enough for."""
    return data.sha256() if group.is_main else ""


def _towers(
    model: TrainableClip,
    data: PosNegData,
    pixels: Path,
    dtype: torch.dtype,
    group: Group,
    progress: Progress,
) -> Towers:
    if group.is_main:
        write_pixels(pixels, data.frames, model.preprocess.resize, progress)
    group.barrier()
    matrix = open_pixels(pixels)
    return Towers(model, matrix, data.captions, dtype=dtype, group=group, progress=progress)


def _facts(
    config: PosNegConfig,
    section: ClipConfig,
    model: TrainableClip,
    data: PosNegData,
    digest: str,
    dtype: torch.dtype,
) -> dict[str, Any]:
    """All that a result depends on, and how much data that was."""
    preprocess = model.preprocess
    return {
        "trainer": "pos_neg",
        "config": as_dict(config),
        "precision": precision_name(dtype),
        "source": {
            **as_dict(section),
            "weights_id": model.source.id,
            "weights_sha256": model.source.sha256,
            "trained": model.source.trained,
            "preprocess": {
                **asdict(preprocess.resize),
                "mean": list(preprocess.mean),
                "std": list(preprocess.std),
            },
        },
        "data": {
            "sha256": digest,
            "train_items": len(data.train),
            "val_items": len(data.val),
            "captions": len(data.captions),
            "frames": len(data.frames),
        },
    }


def _plan(config: PosNegConfig, section: ClipConfig, group: Group) -> Plan:
    processes = f" in {group.world} processes" if group.world > 1 else ""
    return Plan(
        name="pos_neg",
        title=f"train pos_neg on {section.model}{processes}",
        epochs=config.epochs,
        patience=config.patience,
        select="epoch" if config.select == "last" else f"val_{config.select}",
        save_every=config.save_every,
        hparams=as_dict(config),
        lower_is_better=config.select == "loss",
        section="train.pos_neg",
    )


def _check(data: PosNegData, model: TrainableClip, config: PosNegConfig) -> None:
    """Refuse a training that could learn nothing, and say what makes one worth less."""
    if not model.source.trained:
        logger.warning(
            "train.pos_neg starts from the untrained weights of %s: it will learn nothing that "
            "holds beyond these items",
            model.source.id,
        )
    loss = choose_loss(config.loss)
    without = sum(not item.negative for item in data.train)
    if without and MINED in loss.against:
        logger.warning("%d of %d training items have no mined negative", without, len(data.train))
    if loss.against == (OTHER,) and len({item.caption for item in data.train}) == 1:
        raise ConfigError(
            f"train.pos_neg.loss = {config.loss!r} compares captions, and all training items have "
            "the same one.",
            hint="Use loss: bce or video_nce, which learn from mined negatives.",
        )
    unranked = sum(not item.negative for item in data.val)
    if unranked:
        logger.warning(
            "%d of %d val items have no mined negative: average precision and probability are "
            "means over the others",
            unranked,
            len(data.val),
        )


def _summary(trained: Trained, places: Places) -> str:
    record, before = trained.record, trained.before
    best, name = record.best, "val_average_precision"
    wrote = f"wrote {places.out}: best epoch {record.best_epoch} of {record.epoch}"
    if best[name] is None:
        return f"{wrote}; no val item has true frames and negatives to rank"
    return (
        f"{wrote}, val average precision {best[name]:.3f} (before {before[name]:.3f}), "
        f"probability of true frames {best['val_probability']:.3f} "
        f"(before {before['val_probability']:.3f}, chance {best['val_chance_probability']:.3f})"
    )

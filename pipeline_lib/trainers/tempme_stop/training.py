"""Training of a TempMe-STOP network, so that a caption finds its video."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.loading import clip_section
from pipeline_lib.backbones.retrieval_model import RetrievalModel, load_retrieval_model
from pipeline_lib.config import ClipConfig, ExtractConfig, Params, TempMeStopConfig, as_dict
from pipeline_lib.errors import ConfigError
from pipeline_lib.runtime.device import choose_precision, precision_name, set_threads
from pipeline_lib.runtime.distributed import ALONE, Group, joined
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.tables import write_csv
from pipeline_lib.trainers.left_out import FAILURES, raise_left_out
from pipeline_lib.trainers.places import VideoPlaces
from pipeline_lib.trainers.repeating import repeatable
from pipeline_lib.trainers.tempme_stop.parts import Adapters
from pipeline_lib.trainers.tempme_stop.phases import Finished, Training, whole_history
from pipeline_lib.trainers.tempme_stop.publishing import publish
from pipeline_lib.trainers.tempme_stop.splits import Splits, open_splits

logger = logging.getLogger(__name__)

# Frames, or captions, at a time where no gradient is kept.
_BATCH = 64


@dataclass(frozen=True)
class Trained:
    """A finished training.

    Attributes:
        phases: What was trained, in order.
        splits: On what.
    """

    phases: list[Finished]
    splits: Splits


def train(params: Params, *, scratch: Path, progress: Progress) -> str:
    """The stage ``train tempme_stop``; see :class:`pipeline_lib.trainers.Trainer`.

    Raises:
        BatchError: The model is written, but videos were left out, and ``dataset.on_missing``
            says to stop then.
    """
    config = params.train.tempme_stop
    places = VideoPlaces.of("tempme_stop", params.data.root, scratch)
    with joined(params.runtime.device) as group, repeatable(group.device):
        trained = train_tempme_stop(
            config,
            clip_section(config.backbone, params.extract, "train.tempme_stop.backbone"),
            places,
            group,
            reading=params.extract,
            threads=params.runtime.threads,
            progress=progress if group.is_main else SILENT,
        )
    if not group.is_main:
        return ""
    line, splits = _summary(trained, places), trained.splits
    if config.dataset.on_missing == "stop":
        raise_left_out(splits.missing, splits.listed, places.out, "train.tempme_stop", wrote=line)
    return line


def train_tempme_stop(
    config: TempMeStopConfig,
    section: ClipConfig,
    places: VideoPlaces,
    group: Group = ALONE,
    *,
    reading: ExtractConfig | None = None,
    threads: int = 0,
    progress: Progress = SILENT,
) -> Trained:
    """Train a network, or what is left of a training that was killed, and publish it.

    Every process of ``group`` calls this; the first one writes.

    Args:
        config: The section ``train.tempme_stop``.
        section: The CLIP that stays as it is.
        places: Inputs and outputs.
        group: The processes that train together, and their devices.
        reading: Whose decoder and tolerance apply; ``None`` takes the defaults.
        threads: CPU threads; 0 takes what torch takes.
        progress: Told of each epoch.

    Raises:
        ConfigError: The architecture does not fit the CLIP, the mode trains a part without
            parameters, a batch is too small, no val captions choose the best epoch, or training
            diverged.
        DataError: The data set cannot be used.
        WeightsError: The weights are missing or do not fit, or frozen ones have changed.
    """
    set_threads(threads)
    dtype = choose_precision(config.precision, group.device)
    placement = Placement(group.device, precision_name(dtype), _BATCH)
    _check_batches(config)
    model = load_retrieval_model(section, config, placement, seed=config.seed)
    Adapters(model.network).require(config)
    if config.grad_checkpointing:
        model.network.set_grad_checkpointing()
    splits = open_splits(
        config,
        places.data_root,
        frames=model.frames,
        resize=model.preprocess.resize,
        cache=places.frames,
        decoder=(reading or ExtractConfig()).decoder,
        tolerant=(reading or ExtractConfig()).tolerant,
        progress=progress,
    )
    _check_data(config, model, splits)
    facts = _facts(config, section, model, splits, dtype)
    phases = Training(
        config=config,
        model=model,
        splits=splits,
        group=group,
        dtype=dtype,
        facts=facts,
        scratch=places.scratch,
        tensorboard=places.tensorboard,
        progress=progress,
    ).run()
    if group.is_main:
        publish(phases, model, splits, facts, places.out)
        write_csv(places.history, whole_history(phases))
        for finished in phases:
            finished.folder.discard()
    return Trained(phases, splits)


def _check_batches(config: TempMeStopConfig) -> None:
    """Refuse batches in which nothing, or less than is asked for, can be told apart."""
    if config.batch_size < 2:
        raise ConfigError(
            "train.tempme_stop.batch_size = 1: a caption alone has nothing to be told from.",
            hint="Set train.tempme_stop.batch_size to 2 or more; accumulate adds no negatives.",
        )
    if config.alike > config.batch_size:
        raise ConfigError(
            f"train.tempme_stop.alike = {config.alike} captions do not fit into a batch of "
            f"train.tempme_stop.batch_size = {config.batch_size}.",
            hint=f"Set alike to at most {config.batch_size}, best to a divisor of it, or raise "
            "batch_size.",
        )


def _check_data(config: TempMeStopConfig, model: RetrievalModel, splits: Splits) -> None:
    """Refuse a training whose best epoch nothing chooses, and say what makes one worth less."""
    if not model.source.trained:
        logger.warning(
            "train.tempme_stop starts from the untrained weights of %s: it will learn nothing "
            "that holds beyond these videos",
            model.source.id,
        )
    if splits.val is None and config.select != "last":
        raise ConfigError(
            f"train.tempme_stop.select = {config.select!r}, but there are no val captions.",
            hint="Raise train.tempme_stop.dataset.val_ratio, or set train.tempme_stop.select: "
            "last.",
        )


def _facts(
    config: TempMeStopConfig,
    section: ClipConfig,
    model: RetrievalModel,
    splits: Splits,
    dtype: torch.dtype,
) -> dict[str, Any]:
    """All that a result depends on, and how much data that was."""
    preprocess = model.preprocess
    return {
        "trainer": "tempme_stop",
        "config": as_dict(config),
        "precision": precision_name(dtype),
        "frames": model.frames,
        "clips": model.clips,
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
            "train": splits.train.facts(),
            "val": splits.val.facts() if splits.val is not None else None,
        },
    }


def _summary(trained: Trained, places: VideoPlaces) -> str:
    last = trained.phases[-1]
    record, before = last.record, trained.phases[0].before
    wrote = f"wrote {places.out}: best epoch {record.best_epoch} of {record.epoch}"
    if len(trained.phases) > 1:
        first = trained.phases[0].record
        wrote += f" after epoch {first.best_epoch} of {first.epoch} of the first phase"
    left_out = len(trained.splits.missing)
    end = f"; {left_out} videos left out, see {places.out / FAILURES}" if left_out else ""
    start, best = before["val_t2v_r1"], record.best["val_t2v_r1"]
    if start is None or best is None:
        return wrote + end
    return f"{wrote}, val text-to-video R@1 {best:.1f} (before {start:.1f}){end}"

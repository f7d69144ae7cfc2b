"""Masked pretraining of a VideoMamba, so that a fine-tuning of few videos starts from it."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.clip_teacher import ClipTeacher, load_teacher
from pipeline_lib.backbones.loading import clip_section
from pipeline_lib.config import (
    ClipConfig,
    ExtractConfig,
    Params,
    RuntimeConfig,
    VideoListConfig,
    VideoMambaConfig,
    as_dict,
)
from pipeline_lib.errors import ConfigError
from pipeline_lib.networks.masked_videomamba import MaskedVideoMamba
from pipeline_lib.networks.selective_scan import choose_scan
from pipeline_lib.networks.videomamba_shape import VideoMambaShape, resolve_shape
from pipeline_lib.runtime.device import choose_precision, precision_name, set_threads
from pipeline_lib.runtime.distributed import ALONE, Group, joined
from pipeline_lib.runtime.lanes import cores
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.tables import write_csv
from pipeline_lib.trainers.left_out import FAILURES, raise_left_out
from pipeline_lib.trainers.loop import Plan, fit, history_table, require_choice
from pipeline_lib.trainers.places import VideoPlaces
from pipeline_lib.trainers.repeating import repeatable
from pipeline_lib.trainers.resume import Record, RunFolder, run_fingerprint
from pipeline_lib.trainers.videomamba.splits import Splits, open_splits
from pipeline_lib.trainers.videomamba_pretrain.batches import NAME
from pipeline_lib.trainers.videomamba_pretrain.comparing import Comparison
from pipeline_lib.trainers.videomamba_pretrain.publishing import publish
from pipeline_lib.trainers.videomamba_pretrain.task import PretrainTask

logger = logging.getLogger(__name__)

_SECTION = "train.videomamba.pretrain"
# Frames that the teacher sees at a time.
_TEACHER_FRAMES = 64


@dataclass(frozen=True)
class Trained:
    """A finished pretraining.

    Attributes:
        record: Its history.
        splits: What it learned from.
    """

    record: Record
    splits: Splits


def train(params: Params, *, scratch: Path, progress: Progress) -> str:
    """The stage ``train videomamba_pretrain``; see :class:`pipeline_lib.trainers.Trainer`.

    Raises:
        BatchError: The model is written, but videos were left out, and ``dataset.on_missing``
            says to stop then.
    """
    config = params.train.videomamba
    places = VideoPlaces.of("videomamba_pretrain", params.data.root, scratch)
    with joined(params.runtime.device) as group, repeatable(group.device):
        trained = pretrain(
            config,
            clip_section(config.pretrain.teacher, params.extract, f"{_SECTION}.teacher"),
            places,
            group,
            exclude=params.data.exclude,
            reading=params.extract,
            runtime=params.runtime,
            progress=progress if group.is_main else SILENT,
        )
    if not group.is_main:
        return ""
    line, splits = _summary(trained, places), trained.splits
    if config.dataset.on_missing == "stop":
        raise_left_out(splits.missing, splits.listed, places.out, "train.videomamba", wrote=line)
    return line


def pretrain(
    config: VideoMambaConfig,
    section: ClipConfig,
    places: VideoPlaces,
    group: Group = ALONE,
    *,
    exclude: Sequence[str] = (),
    reading: ExtractConfig | None = None,
    runtime: RuntimeConfig | None = None,
    progress: Progress = SILENT,
) -> Trained:
    """Pretrain a network, or what is left of a run that was killed, and publish it.

    Every process of ``group`` calls this; the first one writes.

    Args:
        config: The section ``train.videomamba``: model, data set and pretraining.
        section: The CLIP that teaches.
        places: Inputs and outputs.
        group: The processes that train together, and their devices.
        exclude: Paths below the videos that are left out.
        reading: Whose decoder and tolerance apply; ``None`` takes the defaults.
        runtime: Threads, reading threads and the recurrence's implementation; ``None`` takes the
            defaults.
        progress: Told of each epoch.

    Raises:
        ConfigError: Student and teacher do not fit each other, no val clips choose the best epoch,
            or training diverged.
        DataError: The data set cannot be used.
        WeightsError: The teacher's weights are missing or do not fit.
    """
    reading, runtime = reading or ExtractConfig(), runtime or RuntimeConfig()
    set_threads(runtime.threads)
    _check_rates(config)
    dataset = _dataset(config)
    dtype = choose_precision(config.pretrain.precision, group.device)
    comparison = _comparison(config, section, group, runtime.scan, dtype)
    splits = open_splits(
        dataset,
        places.data_root,
        config.task,
        frames=config.model.frames,
        folder=places.frames,
        exclude=exclude,
        decoder=reading.decoder,
        tolerant=reading.tolerant,
        progress=progress,
    )
    scan = choose_scan(runtime.scan, group.device).name
    facts = _facts(config, dataset, section, comparison.teacher, splits) | {
        "precision": precision_name(dtype),
        "scan": scan,
    }
    task = PretrainTask(
        config.pretrain,
        comparison,
        splits,
        group,
        workers=runtime.decode_workers or cores(),
        fp16=dtype == torch.float16,
    )
    return _run(task, config, splits, facts, places, group, progress)


def _run(
    task: PretrainTask,
    config: VideoMambaConfig,
    splits: Splits,
    facts: dict[str, Any],
    places: VideoPlaces,
    group: Group,
    progress: Progress,
) -> Trained:
    name, plan = run_fingerprint(facts), _plan(config, group)
    folder = RunFolder(places.scratch / name)
    before = task.validate()
    require_choice(before, plan, "Add videos to val")
    record = fit(task, plan, folder, places.tensorboard / name, progress, group)
    group.barrier()  # the first process has written what it reads from here on
    if group.is_main:
        facts |= {"steps": task.steps * record.epoch, "val_before": before}
        publish(record, folder, splits, facts, places.out)
        write_csv(places.history, history_table(record))
        folder.discard()
    return Trained(record, splits)


def _dataset(config: VideoMambaConfig) -> VideoListConfig:
    """The data set with the sampling of the published pretraining where none is given."""
    return replace(config.dataset, sampling=config.dataset.sampling or "segments")


def _comparison(
    config: VideoMambaConfig,
    section: ClipConfig,
    group: Group,
    scan: str,
    dtype: torch.dtype,
) -> Comparison:
    shape, pretraining = resolve_shape(config.model), config.pretrain
    placement = Placement(group.device, precision_name(dtype), _TEACHER_FRAMES)
    teacher = load_teacher(
        section,
        placement,
        shape,
        pretraining.aligned_layers,
        pretraining.layer_interval,
        pretraining.teacher_patches,
    )
    if not teacher.source.trained:
        logger.warning(
            "%s learns from the untrained weights of %s: nothing that is worth fine-tuning",
            _SECTION,
            teacher.source.id,
        )
    student = _student(config, shape, teacher.dim, scan).to(group.device)
    return Comparison(student, teacher, pretraining, dtype)


def _student(
    config: VideoMambaConfig, shape: VideoMambaShape, teacher_dim: int, scan: str
) -> MaskedVideoMamba:
    pretraining = config.pretrain
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(pretraining.seed)
        student = MaskedVideoMamba(
            shape,
            teacher_dim,
            aligned_layers=pretraining.aligned_layers,
            layer_interval=pretraining.layer_interval,
            alignment=pretraining.alignment,
            drop_path=pretraining.drop_path,
            init=config.model.init,
            position_std=config.model.position_std,
            scan=scan,
        )
    if pretraining.grad_checkpointing:
        student.set_grad_checkpointing()
    return student


def _check_rates(config: VideoMambaConfig) -> None:
    if config.pretrain.min_lr > config.pretrain.lr:
        raise ConfigError(
            f"{_SECTION}.min_lr = {config.pretrain.min_lr:g} is larger than {_SECTION}.lr = "
            f"{config.pretrain.lr:g}.",
            hint="The rate falls from lr to min_lr: lower min_lr.",
        )


def _plan(config: VideoMambaConfig, group: Group) -> Plan:
    pretraining, processes = config.pretrain, group.world
    several = f" in {processes} processes" if processes > 1 else ""
    return Plan(
        name=NAME,
        title=f"train {NAME}{several}",
        epochs=pretraining.epochs,
        patience=pretraining.patience,
        select={"last": "epoch", "loss": "val_loss"}[pretraining.select],
        save_every=pretraining.save_every,
        hparams={**as_dict(config.model), **as_dict(pretraining)},
        lower_is_better=pretraining.select == "loss",
        section=_SECTION,
    )


def _facts(
    config: VideoMambaConfig,
    dataset: VideoListConfig,
    section: ClipConfig,
    teacher: ClipTeacher,
    splits: Splits,
) -> dict[str, Any]:
    """All that a result depends on, and how much data that was."""
    return {
        "trainer": NAME,
        "config": as_dict(config.pretrain),
        "model": as_dict(config.model),
        "dataset": as_dict(dataset),
        "teacher": {
            **as_dict(section),
            "source": asdict(teacher.source),
            "dim": teacher.dim,
            "image_size": teacher.size,
        },
        "data": {
            "train": splits.train.facts(),
            "val": splits.val.facts() if splits.val is not None else None,
        },
    }


def _summary(trained: Trained, places: VideoPlaces) -> str:
    record, missing = trained.record, len(trained.splits.missing)
    wrote = f"wrote {places.out}: epoch {record.best_epoch} of {record.epoch}"
    end = f"; {missing} videos left out, see {places.out / FAILURES}" if missing else ""
    loss, control = (record.best[column] for column in ("val_loss", "val_shuffled_loss"))
    if loss is None or control is None:
        return f"{wrote}, train loss {record.best['train_loss']:.3f}{end}"
    return f"{wrote}, val loss {loss:.3f} (of other clips {control:.3f}){end}"

"""Fine-tuning of a VideoMamba for classes or values of videos."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pipeline_lib.backbones.videomamba_checkpoint import VideoMambaCheckpoint
from pipeline_lib.config import ExtractConfig, Params, RuntimeConfig, VideoMambaConfig, as_dict
from pipeline_lib.errors import ConfigError
from pipeline_lib.networks.selective_scan import ScanChoice, choose_scan
from pipeline_lib.networks.videomamba import VideoMambaShape, resolve_shape
from pipeline_lib.runtime.device import choose_precision, precision_name, set_threads
from pipeline_lib.runtime.distributed import ALONE, Group, joined
from pipeline_lib.runtime.lanes import cores
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.tables import write_csv
from pipeline_lib.trainers.left_out import FAILURES, raise_left_out
from pipeline_lib.trainers.places import VideoPlaces
from pipeline_lib.trainers.repeating import repeatable
from pipeline_lib.trainers.videomamba.presets import Settings, resolve
from pipeline_lib.trainers.videomamba.publishing import publish, whole_history
from pipeline_lib.trainers.videomamba.runs import Finished, Training
from pipeline_lib.trainers.videomamba.splits import Splits, open_splits
from pipeline_lib.trainers.videomamba.starting import (
    check_control,
    read_start,
    scratch_start,
    start_of,
)

logger = logging.getLogger(__name__)

# Each holds clips in memory, and more of them than this do not keep a network busier.
_READERS = 16
_LISTED = 5


@dataclass(frozen=True, kw_only=True)
class Places(VideoPlaces):
    """Inputs and outputs.

    Attributes:
        pretrained: What masked pretraining wrote.
    """

    pretrained: Path = Path("data/models/videomamba_pretrain/best")


@dataclass(frozen=True)
class Trained:
    """A finished training.

    Attributes:
        run: What was trained.
        control: The same from random weights, if it was wanted.
        splits: On what.
    """

    run: Finished
    control: Finished | None
    splits: Splits


def train(params: Params, *, scratch: Path, progress: Progress) -> str:
    """The stage ``train videomamba``; see :class:`pipeline_lib.trainers.Trainer`.

    Raises:
        BatchError: The model is written, but videos were left out, and ``dataset.on_missing``
            says to stop then.
    """
    config = params.train.videomamba
    places = Places.of("videomamba", params.data.root, scratch)
    with joined(params.runtime.device) as group, repeatable(group.device):
        trained = train_videomamba(
            config,
            places,
            group,
            exclude=params.data.exclude,
            reading=params.extract,
            runtime=params.runtime,
            progress=progress if group.is_main else SILENT,
        )
    if not group.is_main:
        return ""
    line, splits = _summary(trained, config, places), trained.splits
    if config.dataset.on_missing == "stop":
        raise_left_out(splits.missing, splits.listed, places.out, "train.videomamba", wrote=line)
    return line


def train_videomamba(
    config: VideoMambaConfig,
    places: Places,
    group: Group = ALONE,
    *,
    exclude: Sequence[str] = (),
    reading: ExtractConfig | None = None,
    runtime: RuntimeConfig | None = None,
    progress: Progress = SILENT,
) -> Trained:
    """Train a network, or what is left of a training that was killed, and publish it.

    Every process of ``group`` calls this; the first one writes.

    Args:
        config: The section ``train.videomamba``.
        places: Inputs and outputs.
        group: The processes that train together, and their devices.
        exclude: Paths below the videos that are left out.
        reading: Whose decoder and tolerance apply; ``None`` takes the defaults.
        runtime: Threads, reading threads and the recurrence's implementation; ``None`` takes the
            defaults.
        progress: Told of each epoch.

    Raises:
        ConfigError: Settings contradict each other, no val videos choose the best epoch, or
            training diverged.
        DataError: The data set cannot be used.
        WeightsError: The weights to start from are missing or do not fit.
    """
    reading, runtime = reading or ExtractConfig(), runtime or RuntimeConfig()
    set_threads(runtime.threads)
    dtype = choose_precision(config.precision, group.device)
    scan = choose_scan(runtime.scan, group.device)
    check_control(config)
    shape = resolve_shape(config.model)
    settings = resolve(config, shape)
    _warn_of_warm_up(settings)
    checkpoint = read_start(config, shape, places.pretrained)
    splits = open_splits(
        settings.dataset,
        places.data_root,
        config.task,
        frames=shape.frames,
        folder=places.frames,
        exclude=exclude,
        decoder=reading.decoder,
        tolerant=reading.tolerant,
        progress=progress,
    )
    _check_data(config, splits)
    training = Training(
        config=config,
        settings=settings,
        splits=splits,
        group=group,
        dtype=dtype,
        facts=_facts(config, settings, shape, splits, dtype, scan),
        scratch=places.scratch,
        tensorboard=places.tensorboard,
        workers=runtime.decode_workers or min(cores(), _READERS),
        progress=progress,
    )
    trained = _train_both(training, shape, checkpoint, runtime.scan)
    if group.is_main:
        _publish(trained, training.facts, config, places)
    return trained


def _train_both(
    training: Training,
    shape: VideoMambaShape,
    checkpoint: VideoMambaCheckpoint | None,
    scan: str,
) -> Trained:
    config, classes = training.config, training.splits.classes
    options: dict[str, Any] = {"drop_path": training.settings.drop_path, "scan": scan}
    run = training.run(start_of(config, shape, classes, checkpoint, **options))
    control = None
    if config.compare_scratch:
        # Nothing random is worth protecting: with the decay the control would be held back.
        free = replace(training, settings=replace(training.settings, layer_decay=1.0))
        random = scratch_start(config, shape, classes, **options)
        control = free.run(random, epochs=run.record.epoch)
    return Trained(run, control, training.splits)


def _publish(trained: Trained, facts: Any, config: VideoMambaConfig, places: Places) -> None:
    run, control = trained.run, trained.control
    publish(run, control, trained.splits, facts, places.out)
    record = None if control is None else control.record
    write_csv(places.history, whole_history(run.record, record, config.task))
    for finished in (run, control):
        if finished is not None:
            finished.folder.discard()


def _warn_of_warm_up(settings: Settings) -> None:
    if settings.warmup_epochs >= settings.epochs:
        logger.warning(
            "train.videomamba.warmup_epochs = %d and epochs = %d: training ends before the rate "
            "reaches train.videomamba.lr",
            settings.warmup_epochs,
            settings.epochs,
        )


def _check_data(config: VideoMambaConfig, splits: Splits) -> None:
    """Refuse a training that could learn nothing, or whose best epoch nothing chooses.

    Classes that it cannot learn are told.
    """
    if splits.val is None and config.select != "last":
        raise ConfigError(
            f"train.videomamba.select = {config.select!r}, but there are no val videos.",
            hint="Add a split val, or set train.videomamba.select: last.",
        )
    if splits.classes is not None and len(splits.classes) < 2:
        raise ConfigError(
            f"train.videomamba: all videos are of one class, {splits.classes[0]!r}.",
            hint="Add a second class, or set train.videomamba.task: regression for values.",
        )
    trained = {item.label for item in splits.train.items}
    empty = [name for n, name in enumerate(splits.classes or ()) if n not in trained]
    if empty:
        more = f" and {len(empty) - _LISTED} more" if len(empty) > _LISTED else ""
        some = ", ".join(empty[:_LISTED])
        logger.warning("train.videomamba: no training video is left of class %s%s", some, more)


def _facts(
    config: VideoMambaConfig,
    settings: Settings,
    shape: VideoMambaShape,
    splits: Splits,
    dtype: torch.dtype,
    scan: ScanChoice,
) -> dict[str, Any]:
    """All that a result depends on, but for the start, and how much data that was."""
    resolved = {
        name: value for name, value in vars(settings).items() if name not in ("augment", "dataset")
    }
    return {
        "trainer": "videomamba",
        "config": as_dict(config),
        "settings": {**resolved, "augment": asdict(settings.augment)},
        "dataset": as_dict(settings.dataset),
        "task": config.task,
        "classes": None if splits.classes is None else list(splits.classes),
        "architecture": asdict(shape),
        "tokens": shape.tokens,
        "precision": precision_name(dtype),
        "scan": scan.name,
        "data": {
            "train": splits.train.facts(),
            "val": splits.val.facts() if splits.val is not None else None,
        },
    }


def _summary(trained: Trained, config: VideoMambaConfig, places: Places) -> str:
    run, record = trained.run, trained.run.record
    wrote = f"wrote {places.out}: best epoch {record.best_epoch} of {record.epoch}"
    left_out = len(trained.splits.missing)
    end = f"; {left_out} videos left out, see {places.out / FAILURES}" if left_out else ""
    column = "val_accuracy" if config.task == "classification" else "val_mse"
    start, best = run.before[column], record.best[column]
    if start is None or best is None:
        return wrote + end
    beside = [f"before {start:.3f}"]
    if trained.control is not None:
        beside.append(f"from scratch {trained.control.record.best[column]:.3f}")
    return f"{wrote}, {column.replace('_', ' ')} {best:.3f} ({', '.join(beside)}){end}"

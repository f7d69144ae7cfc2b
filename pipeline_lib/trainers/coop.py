"""CoOp (Zhou et al., IJCV 2022): learned prompts on pre-extracted features, with their control.

The control is the same learner, with the same seed and text tower, on the features of an untrained
image tower: what it reaches says how much comes from the features rather than from the labels.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_lib.config import Params, TrainConfig, as_dict
from pipeline_lib.datasets.window_features import read_windows
from pipeline_lib.errors import ConfigError
from pipeline_lib.networks.text_towers import TextTower
from pipeline_lib.runtime.device import choose_device, set_threads
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.features import read_manifest
from pipeline_lib.storage.tables import write_csv
from pipeline_lib.trainers.coop_data import (
    CoopData,
    load_data,
    require_same_weights,
    require_untrained,
    warn_about,
)
from pipeline_lib.trainers.coop_task import CoopTask
from pipeline_lib.trainers.loop import Plan, fit, history_table, publish
from pipeline_lib.trainers.prompts import load_text_tower
from pipeline_lib.trainers.resume import Record, RunFolder, run_fingerprint

CONTROL = "control_random_init"


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where the trainer reads and writes; the defaults are the pipeline's own.

    Attributes:
        windows: The windows table.
        features: Holds one directory a backbone.
        out: Checkpoints and ``config.json``; the control's in a folder below.
        history: CSV of the epochs; the control's stands beside its checkpoints.
        tensorboard: Holds one directory a run; part of no result.
        scratch: Holds the state of unfinished runs.
    """

    windows: Path = Path("data/index/windows.parquet")
    features: Path = Path("data/features")
    out: Path = Path("data/models/coop")
    history: Path = Path("metrics/plots/coop/history.csv")
    tensorboard: Path = Path("data/tensorboard/coop")
    scratch: Path = Path("data/.scratch")


@dataclass(frozen=True)
class _Run:
    """A finished run that is not published yet."""

    record: Record
    plan: Plan
    folder: RunFolder
    description: dict[str, Any]


def train(params: Params, *, scratch: Path, progress: Progress) -> str:
    """The stage ``train coop``; see :class:`pipeline_lib.trainers.Trainer`."""
    set_threads(params.runtime.threads)
    device = choose_device(params.runtime.device)
    tower = load_text_tower(params.extract, params.train.backbone, device)
    places = Places(scratch=scratch)
    record = train_coop(params.train, tower, places, progress)
    best = record.best
    return (
        f"wrote {places.out}: best epoch {record.best_epoch} of {record.epoch}, val balanced "
        f"accuracy {best['val_balanced_accuracy']:.3f}, val accuracy {best['val_accuracy']:.3f}"
    )


def train_coop(
    config: TrainConfig, tower: TextTower, places: Places, progress: Progress = SILENT
) -> Record:
    """Train the prompts, and the control's where ``config.control_backbone`` is set.

    Nothing is written to ``places.out`` before both have finished.

    Args:
        config: The ``train`` section.
        tower: The text half of ``config.backbone``.
        places: Inputs and outputs.
        progress: Told of each epoch.

    Returns:
        The history of the prompts (not of the control).

    Raises:
        ConfigError: Prompt too long, unknown class in ``class_names``, a learning rate that rises
            above its base, or a diverged loss.
        DataError: No windows or features, or they do not fit each other.
        WeightsError: Features of other weights than the text tower's, or untrained ones.
    """
    if config.warmup_epochs and config.warmup_lr > config.lr:
        raise ConfigError(
            f"train.warmup_lr = {config.warmup_lr:g} is above train.lr = {config.lr:g}.",
            hint="Lower train.warmup_lr, or set train.warmup_epochs: 0.",
        )
    data = _load_all(config, tower, places, progress)
    runs = {out: _train_one(config, tower, data[out], places, progress) for out in data}
    for out, run in runs.items():
        publish(run.record, run.plan, run.folder, out, run.description)
        history = places.history if out == places.out else out / "history.csv"
        write_csv(history, history_table(run.record))
    for run in runs.values():
        run.folder.discard()
    return runs[places.out].record


def _load_all(
    config: TrainConfig, tower: TextTower, places: Places, progress: Progress
) -> dict[Path, CoopData]:
    """The data of the prompts and of their control, by where the result goes."""
    windows = read_windows(places.windows)
    directory = places.features / config.backbone
    require_same_weights(read_manifest(directory), tower, config)
    data = {places.out: load_data(config, tower, windows, directory, progress)}
    if config.control_backbone is not None:
        directory = places.features / config.control_backbone
        require_untrained(read_manifest(directory), config)
        data[places.out / CONTROL] = load_data(config, tower, windows, directory, progress)
    warn_about(data[places.out], tower)
    return data


def _train_one(
    config: TrainConfig, tower: TextTower, data: CoopData, places: Places, progress: Progress
) -> _Run:
    """Train on the features of one backbone, up to the point where it can be published."""
    name = run_fingerprint(
        {
            "config": as_dict(config),
            "classes": data.class_names,
            "text_tower": tower.weights_sha256,
            "features": dict(data.source),
            "train": data.train.sha256(),
            "val": data.val.sha256(),
        }
    )
    plan = Plan(
        name="coop",
        title=f"train coop on {data.source['directory']}",
        epochs=config.epochs,
        patience=config.patience,
        select=f"val_{config.select}",
        save_every=config.save_every,
        hparams=as_dict(config),
    )
    folder = RunFolder(places.scratch / name)
    task = CoopTask(config, tower, data)
    record = fit(task, plan, folder, places.tensorboard / name, progress)
    description = task.describe(record.best) | {"epochs_trained": record.epoch}
    return _Run(record, plan, folder, description)

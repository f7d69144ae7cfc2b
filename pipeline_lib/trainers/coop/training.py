"""CoOp (Zhou et al., IJCV 2022): learned prompts on packed window features, with their controls."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline_lib.config import Params, TrainConfig
from pipeline_lib.datasets.window_store import open_store
from pipeline_lib.networks.text_towers import TextTower
from pipeline_lib.runtime.distributed import require_alone
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.atomic import write_bytes
from pipeline_lib.storage.directories import replacing_directory
from pipeline_lib.storage.tables import write_csv
from pipeline_lib.trainers.checkpoints import write_checkpoint
from pipeline_lib.trainers.coop.data import (
    CoopData,
    load_data,
    require_same_weights,
    require_untrained,
    warn_about,
)
from pipeline_lib.trainers.coop.linear_probe import fit_linear_probe
from pipeline_lib.trainers.coop.presets import Recipe, recipe
from pipeline_lib.trainers.coop.prompts import prepared_tower
from pipeline_lib.trainers.coop.runs import (
    LINEAR_PROBE,
    FinishedRun,
    planned_runs,
    run_name,
    train_run,
)
from pipeline_lib.trainers.loop import history_table
from pipeline_lib.trainers.resume import Record

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where the trainer reads and writes; the defaults are the pipeline's own.

    Attributes:
        windows: Holds the packed windows, one directory a backbone.
        out: Checkpoints and ``config.json``; those of further seeds and of controls in folders
            below.
        history: CSV of the epochs; the others' stand beside their checkpoints.
        tensorboard: Holds one directory a run; part of no result.
        scratch: Holds the state of unfinished runs.
    """

    windows: Path = Path("data/windows")
    out: Path = Path("data/models/coop")
    history: Path = Path("metrics/plots/coop/history.csv")
    tensorboard: Path = Path("data/tensorboard/coop")
    scratch: Path = Path("data/.scratch")


def train(params: Params, *, scratch: Path, progress: Progress) -> str:
    """The stage ``train coop``; see :class:`pipeline_lib.trainers.Trainer`."""
    require_alone("train coop")
    # No preset's precision depends on the number of windows.
    tower = prepared_tower(params, params.train.backbone, recipe(params.train.coop, 1).precision)
    places = Places(scratch=scratch)
    record = train_coop(params.train.coop, tower, places, progress)
    best = record.best
    return (
        f"wrote {places.out}: best epoch {record.best_epoch} of {record.epoch}, val balanced "
        f"accuracy {best['val_balanced_accuracy']:.3f}, val accuracy {best['val_accuracy']:.3f}"
    )


def train_coop(
    config: TrainConfig, tower: TextTower, places: Places, progress: Progress = SILENT
) -> Record:
    """Train the prompts of every seed, and the controls.

    Nothing is written to ``places.out`` before all have finished; what has finished in a training
    that was killed is not trained again.

    Args:
        config: The ``train`` section.
        tower: The text half of ``config.backbone``, in the recipe's precision.
        places: Inputs and outputs.
        progress: Told of each epoch.

    Returns:
        The history of the first seed's prompts.

    Raises:
        ConfigError: Prompt too long, unknown class in ``class_names``, a learning rate that rises
            above its base, or a diverged loss.
        DataError: No packed windows, or they do not fit the parameters.
        WeightsError: Features of other weights than the text tower's, or untrained ones.
    """
    data, untrained = _load_all(config, tower, places)
    runs = list(planned_runs(config, data, untrained))
    probe = places.scratch / run_name(runs[0], config, tower) / LINEAR_PROBE
    finished = [
        train_run(
            run,
            config,
            tower,
            scratch=places.scratch,
            tensorboard=places.tensorboard,
            progress=progress,
        )
        for run in runs
    ]
    if not probe.is_file():
        fitted = fit_linear_probe(runs[0].data, runs[0].seed, config.select, progress)
        write_checkpoint(probe, {"weight": fitted.weight, "bias": fitted.bias}, fitted.metadata)
    _publish(finished, probe, places)
    for run in finished:
        run.discard()
    return finished[0].record


def _load_all(
    config: TrainConfig, tower: TextTower, places: Places
) -> tuple[CoopData, CoopData | None]:
    """The windows of the backbone, and of the untrained one where there is a control."""
    _warn_of_warm_up(recipe(config, 1))  # before anything is read, as is a rate that cannot be
    store = open_store(places.windows / config.backbone)
    require_same_weights(store.info, tower, config)
    data = load_data(config, tower, store)
    warn_about(data, tower)
    if config.control_backbone is None:
        return data, None
    control = open_store(places.windows / config.control_backbone)
    require_untrained(control.info, config)
    return data, load_data(config, tower, control)


def _warn_of_warm_up(chosen: Recipe) -> None:
    if chosen.warmup_epochs >= chosen.epochs:
        logger.warning(
            "train.warmup_epochs = %d and train.epochs = %d: training ends before the rate reaches "
            "train.lr = %g",
            chosen.warmup_epochs,
            chosen.epochs,
            chosen.lr,
        )


def _publish(finished: Sequence[FinishedRun], probe: Path, places: Places) -> None:
    """Write everything at once, so that no folder of an earlier training stays."""
    with replacing_directory(places.out) as out:
        for done in finished:
            done.write(out / done.run.folder)
            if done.run.folder:
                write_csv(out / done.run.folder / "history.csv", history_table(done.record))
        write_bytes(out / LINEAR_PROBE, probe.read_bytes())
    write_csv(places.history, history_table(finished[0].record))

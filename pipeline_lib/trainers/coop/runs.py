"""Which runs one training consists of, and how each is trained.

The first seed's prompts are the model. Further seeds show how much of its numbers is luck, and two
controls what they would be without something: ``control_random_init`` without trained image
features, ``control_shuffled_labels`` without true labels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline_lib.config import TrainConfig, as_dict
from pipeline_lib.networks.text_towers import TextTower
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.trainers.coop.data import CoopData
from pipeline_lib.trainers.coop.presets import Recipe, recipe
from pipeline_lib.trainers.coop.task import CoopTask, resolved
from pipeline_lib.trainers.loop import Plan, fit, fit_in_memory, write_outputs
from pipeline_lib.trainers.resume import Record, RunFolder, run_fingerprint

RANDOM_INIT = "control_random_init"
SHUFFLED_LABELS = "control_shuffled_labels"
LINEAR_PROBE = "control_linear_probe.safetensors"


def seed_folder(seed: int) -> str:
    """Where the prompts of a seed other than the first stand, below those of the first."""
    return f"seed_{seed}"


@dataclass(frozen=True)
class Run:
    """One set of prompts to train.

    Attributes:
        folder: Where its result goes, below that of the first seed's run; ``""`` for that itself.
        seed: Of the context, the order and the choice of windows.
        data: What it trains on.
    """

    folder: str
    seed: int
    data: CoopData


def planned_runs(config: TrainConfig, data: CoopData, untrained: CoopData | None) -> Iterator[Run]:
    """All runs of a training, the model's own first.

    Args:
        config: The ``train`` section.
        data: The windows of ``config.backbone``.
        untrained: The windows of ``config.control_backbone``, if there is one.
    """

    def shots_of(all_of_them: CoopData, seed: int) -> CoopData:
        return all_of_them if config.shots is None else all_of_them.with_shots(config.shots, seed)

    first, *further = dict.fromkeys(config.seeds)
    yield Run("", first, shots_of(data, first))
    for seed in further:
        yield Run(seed_folder(seed), seed, shots_of(data, seed))
    yield Run(SHUFFLED_LABELS, first, shots_of(data, first).with_shuffled_labels(first))
    if untrained is not None:
        yield Run(RANDOM_INIT, first, shots_of(untrained, first))


@dataclass(frozen=True)
class FinishedRun:
    """A trained run that is not published yet.

    Attributes:
        run: What was trained.
        record: Its history.
    """

    run: Run
    record: Record
    _plan: Plan
    _folder: RunFolder
    _description: dict[str, Any]

    def write(self, out: Path) -> None:
        """Write checkpoints and ``config.json`` into ``out``, a directory that is being made."""
        write_outputs(self.record, self._plan, self._folder, out, self._description)

    def discard(self) -> None:
        """Forget the state that a killed training would go on from."""
        self._folder.discard()


def train_run(
    run: Run,
    config: TrainConfig,
    tower: TextTower,
    *,
    scratch: Path,
    tensorboard: Path,
    progress: Progress = SILENT,
) -> FinishedRun:
    """Train one run, or what is left of it, up to the point where it can be published.

    Args:
        run: What to train.
        config: The ``train`` section.
        tower: The text tower.
        scratch: Holds the state of unfinished runs.
        tensorboard: Holds one directory of curves a run.
        progress: Told of each epoch.
    """
    chosen = recipe(config, len(run.data.train))
    name = run_name(run, config, tower)
    plan = _plan(run, config, chosen, tower)
    folder = RunFolder(scratch / name)
    task = CoopTask(config, chosen, tower, run.data, run.seed)
    label = run.folder or seed_folder(run.seed)
    record = fit(task, plan, folder, tensorboard / f"{label}-{name}", progress)
    description = task.describe(record.best) | {"epochs_trained": record.epoch}
    return FinishedRun(run, record, plan, folder, description)


def train_prompts(
    config: TrainConfig,
    tower: TextTower,
    data: CoopData,
    seed: int,
    keep: Literal["best", "final"] = "best",
) -> CoopTask:
    """Train one set of prompts without writing a file.

    Args:
        config: The ``train`` section; ``seeds``, ``shots`` and the controls are not used.
        tower: The text tower.
        data: Training windows, all of which are used, and validation windows.
        seed: Of the context and of the windows' order.
        keep: Which epoch's context the result has: the best on val, or the last.

    Returns:
        The finished task: see :meth:`CoopTask.text_features` and ``learner``.

    Raises:
        ConfigError: A prompt is too long, or training diverged.
    """
    run = Run("", seed, data)
    chosen = recipe(config, len(data.train))
    task = CoopTask(config, chosen, tower, data, seed)
    _, best = fit_in_memory(task, _plan(run, config, chosen, tower))
    if keep == "best":
        task.load_tensors(best)
    return task


def run_name(run: Run, config: TrainConfig, tower: TextTower) -> str:
    """A name that changes with everything a run's result depends on."""
    chosen = recipe(config, len(run.data.train))
    return run_fingerprint(
        {
            "folder": run.folder,
            "seed": run.seed,
            "config": as_dict(config),
            "recipe": resolved(chosen, tower.device),
            "text_tower": tower.weights_sha256,
            "features": dict(run.data.source),
            "data": run.data.sha256(),
        }
    )


def _plan(run: Run, config: TrainConfig, chosen: Recipe, tower: TextTower) -> Plan:
    label = run.folder or seed_folder(run.seed)
    return Plan(
        name="coop",
        title=f"train coop on {run.data.source['directory']} ({label.replace('_', ' ')})",
        epochs=chosen.epochs,
        patience=chosen.patience,
        select=f"val_{config.select}",
        save_every=config.save_every,
        hparams=as_dict(config) | resolved(chosen, tower.device) | {"run": label},
    )

"""The few-shot curve: balanced accuracy over the number of training windows a class.

As in the paper (Zhou et al., IJCV 2022, section 4.1): a few training windows of each class, the
last epoch's prompts, several draws, and the whole test split. Beside the curve stand a linear probe
on the same windows, prompts learned from their shuffled labels, and what needs no window.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from pipeline_lib.config import EvaluateConfig, FewShotConfig, Params, TrainConfig
from pipeline_lib.datasets.window_store import open_store
from pipeline_lib.errors import DataError
from pipeline_lib.evaluation.coop.classifiers import zero_shot_text
from pipeline_lib.evaluation.coop.controls import majority_class
from pipeline_lib.networks.text_towers import TextTower
from pipeline_lib.pictures.few_shot import draw_few_shot
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.runtime.seeding import numpy_stream
from pipeline_lib.storage.atomic import write_json
from pipeline_lib.storage.tables import write_csv
from pipeline_lib.trainers.coop.data import CoopData, load_data, require_same_weights
from pipeline_lib.trainers.coop.linear_probe import fit_linear_probe
from pipeline_lib.trainers.coop.measuring import Logits, linear_logits, measure
from pipeline_lib.trainers.coop.presets import recipe
from pipeline_lib.trainers.coop.prompts import prepared_tower
from pipeline_lib.trainers.coop.runs import Run, run_name, train_prompts
from pipeline_lib.trainers.coop.samples import Samples, samples
from pipeline_lib.trainers.coop.shots import choose_evenly

SPLIT = "test"
PROMPTS = "prompts"
_LEARNED = (PROMPTS, "linear_probe", "shuffled")
_METRICS = ("balanced_accuracy", "accuracy", "video_accuracy")
_WORDS = {
    PROMPTS: "learned prompts",
    "shuffled": "shuffled labels",
    "zero_shot": "zero-shot prompt",
    "chance": "chance, majority",
}
# Epochs of the paper by shots; a fixed number of passes would be too few steps for few windows.
_EPOCHS = ((1, 50), (4, 100), (16, 200))
# Nothing is chosen on val but the strength of the linear probe.
_VAL_WINDOWS = 2000

Values = dict[str, float | None]


@dataclass(frozen=True, kw_only=True)
class FewShotPlaces:
    """Where the command reads and writes; the defaults are the pipeline's own."""

    windows: Path = Path("data/windows")
    metrics: Path = Path("metrics/few_shot.json")
    plots: Path = Path("metrics/plots/few_shot")
    scratch: Path = Path("data/.scratch")


def few_shot(params: Params, *, scratch: Path, progress: Progress = SILENT) -> str:
    """The command ``few-shot``.

    Args:
        params: ``few_shot``, ``train``, ``evaluate.zero_shot_prompt``, ``extract`` and ``runtime``.
        scratch: Keeps finished points, so that a killed run goes on with the next.
        progress: Told of each point.

    Returns:
        What was written, for people.
    """
    tower = prepared_tower(params, params.train.backbone, recipe(params.train.coop, 1).precision)
    places = FewShotPlaces(scratch=scratch)
    table = few_shot_curve(
        params.train.coop, params.few_shot, params.evaluate, tower, places, progress
    )
    best = table[table["model"] == PROMPTS].iloc[-1]
    return (
        f"wrote {places.metrics} and {places.plots}/: {best['shots']} windows a class, "
        f"{SPLIT} balanced accuracy {best['balanced_accuracy']:.3f}"
    )


def few_shot_curve(
    config: TrainConfig,
    points: FewShotConfig,
    evaluate: EvaluateConfig,
    tower: TextTower,
    places: FewShotPlaces,
    progress: Progress = SILENT,
) -> pd.DataFrame:
    """Train and measure all points, and write metrics, table and picture.

    Args:
        config: The ``train`` section; ``shots``, ``seeds`` and ``patience`` are not used.
        points: Shots and seeds.
        evaluate: Its zero-shot prompt is used.
        tower: The text tower, in the recipe's precision.
        places: Inputs and outputs.
        progress: Told of each point.

    Returns:
        One row a model, number of shots: ``shots``, ``model``, the mean of each metric and its
        deviation ``<metric>_std`` (null for one seed).

    Raises:
        ConfigError: The zero-shot prompt has no place for the name, or a prompt is too long.
        DataError: There are no packed windows, or none of a split.
        WeightsError: They are of other weights than the text tower's.
    """
    store = open_store(places.windows / config.backbone)
    require_same_weights(store.info, tower, config)
    data = load_data(config, tower, store)
    # Before hours of training, because it tells a prompt that cannot be used.
    zero_shot = zero_shot_text(tower, evaluate.zero_shot_prompt, list(data.prompt_names))
    data = replace(data, val=_some(data.val, data))
    test = samples(store.split(SPLIT, data.class_names), data.class_names, tower.device)
    found: list[dict[str, Any]] = []
    numbers, seeds = sorted(set(points.shots)), list(dict.fromkeys(points.seeds))
    with progress.task("few-shot curve", len(numbers) * len(seeds)) as advance:
        for shots in numbers:
            for seed in seeds:
                values = _point(_schedule(config, shots), data, test, tower, shots, seed, places)
                found += [{"shots": shots, "model": name} | values[name] for name in _LEARNED]
                advance(note=f"{shots} shots: {values[PROMPTS]['balanced_accuracy']:.3f}")
    classes = len(data.class_names)
    plain = _measured(test, _text_logits(zero_shot, tower), data.class_names)
    table = _summarised(found)
    always = _measured(test, _majority_logits(data), data.class_names)
    write_json(places.metrics, _tree(table, {"zero_shot": plain, "majority": always}, classes))
    levels = {"zero_shot": plain["balanced_accuracy"], "chance": 1 / classes}
    _write_plots(places.plots, table, levels, len(seeds))
    return table


def _some(val: Samples, data: CoopData) -> Samples:
    draw = numpy_stream("few-shot", "val")
    chosen = choose_evenly(val.labels, val.video_of_window, _VAL_WINDOWS, draw)
    return val.chosen(chosen, data.device)


def _schedule(config: TrainConfig, shots: int) -> TrainConfig:
    """The training of one point: the paper's epochs where ``original`` is not told others."""
    epochs = config.epochs
    if epochs is None and config.preset == "original":
        epochs = next((number for most, number in _EPOCHS if shots <= most), _EPOCHS[-1][1])
    return replace(config, epochs=epochs, patience=0, shots=shots)


def _point(
    config: TrainConfig,
    data: CoopData,
    test: Samples,
    tower: TextTower,
    shots: int,
    seed: int,
    places: FewShotPlaces,
) -> dict[str, Values]:
    """What each model learned from one draw reaches, measured now or before a kill."""
    drawn = data.with_shots(shots, seed)
    name = run_name(Run("few-shot", seed, drawn), config, tower)
    kept = places.scratch / "few-shot" / f"{name}-{test.sha256()[:16]}.json"
    if kept.is_file():
        return _read_point(kept)
    probe = fit_linear_probe(drawn, seed, config.select)
    learned = {
        PROMPTS: _prompt_logits(config, drawn, tower, seed),
        "linear_probe": linear_logits(probe.weight, bias=probe.bias),
        "shuffled": _prompt_logits(config, drawn.with_shuffled_labels(seed), tower, seed),
    }
    values = {model: _measured(test, logits, data.class_names) for model, logits in learned.items()}
    write_json(kept, values)
    return values


def _read_point(path: Path) -> dict[str, Values]:
    try:
        values: dict[str, Values] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(
            f"{path}: a kept point of the few-shot curve is damaged ({error}).",
            hint="Delete it; the point is then trained again.",
        ) from None
    return values


def _prompt_logits(config: TrainConfig, data: CoopData, tower: TextTower, seed: int) -> Logits:
    task = train_prompts(config, tower, data, seed, keep="final")
    return linear_logits(task.text_features(), tower.logit_scale)


def _text_logits(text: np.ndarray, tower: TextTower) -> Logits:
    return linear_logits(torch.from_numpy(text), tower.logit_scale)


def _majority_logits(data: CoopData) -> Logits:
    """The answer of the class that most of all the training windows have."""
    index = majority_class(data.windows_per_class(), data.class_names)
    certain = torch.zeros(len(data.class_names))
    certain[index] = 1.0
    return linear_logits(torch.zeros(len(certain), data.train.rows.matrix.shape[1]), bias=certain)


def _measured(test: Samples, logits: Logits, class_names: tuple[str, ...]) -> Values:
    row = measure(test, logits, class_names)
    return {name: row[f"val_{name}"] for name in _METRICS}


def _summarised(found: list[dict[str, Any]]) -> pd.DataFrame:
    """Mean and sample deviation over the seeds."""
    grouped = pd.DataFrame(found).groupby(["model", "shots"], sort=False)[list(_METRICS)]
    spread = grouped.std(ddof=1).add_suffix("_std")
    return pd.concat([grouped.mean(), spread], axis=1).reset_index()


def _tree(table: pd.DataFrame, flat: dict[str, Values], classes: int) -> dict[str, Any]:
    """``{test: {shots_<k>: {metric, metric_std}, control: {name: the same}}}``.

    ``flat`` holds the controls that no number of windows changes.
    """
    trees: dict[str, dict[str, Any]] = {name: {} for name in _LEARNED}
    for _, row in table.iterrows():
        trees[row["model"]][f"shots_{row['shots']}"] = {
            name: None if pd.isna(row[name]) else float(row[name])
            for name in (*_METRICS, *(f"{metric}_std" for metric in _METRICS))
        }
    chance: Values = {"balanced_accuracy": 1 / classes, "accuracy": 1 / classes}
    controls = {name: trees[name] for name in _LEARNED if name != PROMPTS}
    for name, values in {**flat, "chance": chance}.items():
        controls[name] = {point: dict(values) for point in trees[PROMPTS]}
    return {SPLIT: {**trees[PROMPTS], "control": controls}}


def _write_plots(folder: Path, table: pd.DataFrame, levels: Values, seeds: int) -> None:
    columns = {"balanced_accuracy": "mean", "balanced_accuracy_std": "std"}
    curves = table[["shots", "model", *columns]].rename(columns=columns)
    wide = curves.pivot(index="shots", columns="model", values="mean")[list(_LEARNED)]
    write_csv(folder / "curve.csv", wide.reset_index())
    flat = pd.DataFrame(
        [{"shots": 0, "model": name, "mean": value, "std": None} for name, value in levels.items()]
    )
    shown = pd.concat([curves, flat.astype(curves.dtypes)], ignore_index=True)
    shown["model"] = [_WORDS.get(name, name.replace("_", " ")) for name in shown["model"]]
    title = f"{SPLIT} windows, mean and deviation of {seeds} draws"
    draw_few_shot(folder / "curve.png", shown, title)

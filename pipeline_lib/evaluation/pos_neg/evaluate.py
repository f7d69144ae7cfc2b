"""Evaluation of a CLIP fine-tuned on frames of questions, beside choices that know less.

Every video is embedded once by the model before and after fine-tuning; each chooses frames for the
caption of an item. The controls: the model that training started from (``zero_shot``), the middle
frame of each part of the timeline (``uniform``), a random frame of each part (``chance``), and the
fine-tuned model asked for something else (``shuffled``).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_lib.config import EvaluateConfig, EvaluatePosNegConfig, Params
from pipeline_lib.datasets.layout import SPLITS
from pipeline_lib.datasets.mined import read_mined
from pipeline_lib.errors import BatchError, ConfigError, DataError, VideoError, did_you_mean
from pipeline_lib.evaluation import Outputs, Request
from pipeline_lib.evaluation.pos_neg.drawn import draw_plots
from pipeline_lib.evaluation.pos_neg.items import Item, Questions, questions_of
from pipeline_lib.evaluation.pos_neg.models import (
    Captions,
    Models,
    embed_captions,
    load_models,
)
from pipeline_lib.evaluation.pos_neg.trained_model import read_trained, splits_as_trained
from pipeline_lib.evaluation.pos_neg.tree import split_tree
from pipeline_lib.evaluation.pos_neg.watching import MeasuredItem, measure_video
from pipeline_lib.evaluation.pos_neg.written import (
    FAILURES,
    Failure,
    write_failures,
    write_items,
)
from pipeline_lib.runtime.device import choose_device
from pipeline_lib.runtime.lanes import Lanes
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.atomic import write_json

MODELS = Path("data") / "models" / "pos_neg"
MINED = Path("data") / "mined"


@dataclass(frozen=True)
class PosNegEvaluation:
    """A finished evaluation; see :class:`pipeline_lib.evaluation.Evaluation`.

    Attributes:
        metrics: ``{split: {items, items_without_true_frames, items_excluded, items_failed, videos,
            recall, precision, sim_m, gain, control}, embedder}``.
        measured: Split to its items, sorted by id.
        failures: Items that could not be measured.
        config: The ``evaluate`` section.
    """

    metrics: dict[str, Any]
    measured: dict[str, list[MeasuredItem]]
    failures: tuple[Failure, ...]
    config: EvaluateConfig

    def write(self, outputs: Outputs) -> None:
        """Write metrics and items of all splits, failures, and plots of the last with items."""
        counts = sorted(set(self.config.pos_neg.recall_at))
        write_json(outputs.metrics, self.metrics)
        write_items(outputs.tables, [item for m in self.measured.values() for item in m], counts)
        write_failures(outputs.tables, self.failures)
        shown = [split for split, items in self.measured.items() if items][-1]
        draw_plots(
            outputs.plots,
            shown,
            self.measured[shown],
            self.metrics[shown],
            self.config.pos_neg,
            self.config.sim_m.thresholds,
        )

    def raise_failures(self, outputs: Outputs | None) -> None:
        """Turn failures into the error an evaluation ends with; see ``Evaluation``."""
        if self.failures:
            items = sum(len(items) for items in self.measured.values()) + len(self.failures)
            where = f"All are listed in {outputs.tables / FAILURES}. " if outputs else ""
            raise BatchError(
                f"{len(self.failures)} of {items} items could not be measured, first: item "
                f"{self.failures[0].id!r}: {self.failures[0].message}",
                hint=f"{where}The metrics are those of the others. Mine again after repairing the "
                "videos, or with them under data.exclude in params.yaml.",
            )


def evaluate_pos_neg(
    params: Params, request: Request, progress: Progress = SILENT
) -> PosNegEvaluation:
    """Evaluate a fine-tuned CLIP on the mined items of its validation and test videos.

    Args:
        params: All of ``params.yaml``; ``data``, ``evaluate``, ``extract`` and ``runtime`` are
            used. How the model was trained stands beside it.
        request: What to evaluate; ``checkpoint`` is a model folder.
        progress: Told of each video.

    Raises:
        ConfigError: An unknown split, windows are given, or a network has no section.
        DataError: The model folder, the mined items or the videos are not there or do not belong
            together, or no item of the splits has true frames.
        WeightsError: Weights are missing, unfit, untrained, or not those that training started
            from.
    """
    if request.windows is not None:
        raise ConfigError(
            f"pos_neg is not evaluated on packed windows ({request.windows}).",
            hint=f"Leave out --windows: its questions are those of {MINED}.",
        )
    for split in set(request.splits) - set(SPLITS):
        raise ConfigError(f"Unknown split {split!r}.", hint=did_you_mean(split, SPLITS))
    trained = read_trained(request.checkpoint or MODELS / params.evaluate.pos_neg.checkpoint)
    mined = read_mined(MINED)
    splits = splits_as_trained(trained, mined)
    videos = Path(params.data.root) / "videos"
    questions = {
        split: questions_of(mined.items, splits, split, videos, trained.settings.caption)
        for split in request.splits
    }
    if not any(found.items for found in questions.values()):
        raise DataError(
            f"{MINED}: no item of {' or '.join(request.splits)} has true frames; nothing to "
            "measure.",
            hint="train.pos_neg.split in params.yaml says which items are in which split.",
        )
    models = load_models(trained, params)
    with Lanes(choose_device(params.runtime.device), params.runtime.threads) as lanes:
        return measure(questions, models, params.evaluate, lanes, progress)


def measure(
    questions: dict[str, Questions],
    models: Models,
    config: EvaluateConfig,
    lanes: Lanes,
    progress: Progress = SILENT,
) -> PosNegEvaluation:
    """Measure models at hand on questions at hand.

    Args:
        questions: Split to its items.
        models: The networks.
        config: The ``evaluate`` section.
        lanes: Run one video each, so that results do not depend on the number of cores.
        progress: Told of each video.

    Raises:
        WeightsError: A network gives features without direction.
    """
    items = [item for found in questions.values() for item in found.items]
    captions = lanes.submit(embed_captions, models, items).result()
    measured, failures = _watch_all(items, captions, models, config.pos_neg, lanes, progress)
    of_split = {split: [one for one in measured if one.item.split == split] for split in questions}
    if not measured:
        PosNegEvaluation({}, of_split, tuple(failures), config).raise_failures(None)
    failed = dict.fromkeys(questions, 0)
    split_of = {item.id: item.split for item in items}
    for failure in failures:
        failed[split_of[failure.id]] += 1
    metrics: dict[str, Any] = {
        split: {
            "items": len(of_split[split]),
            "items_without_true_frames": found.without_true_frames,
            "items_excluded": found.excluded,
            "items_failed": found.unmined + failed[split],
            "videos": len({one.item.video for one in of_split[split]}),
            **split_tree(of_split[split], config.pos_neg, config.sim_m.thresholds),
        }
        for split, found in questions.items()
    }
    metrics["embedder"] = models.embedder_facts()
    return PosNegEvaluation(metrics, of_split, tuple(failures), config)


def _watch_all(
    items: Sequence[Item],
    captions: Captions,
    models: Models,
    config: EvaluatePosNegConfig,
    lanes: Lanes,
    progress: Progress,
) -> tuple[list[MeasuredItem], list[Failure]]:
    """All items of all videos, each video in a lane of its own; both lists sorted by item."""
    of_video: defaultdict[Path, list[Item]] = defaultdict(list)
    for item in items:
        of_video[item.path].append(item)
    measured: list[MeasuredItem] = []
    failures: list[Failure] = []
    with progress.task("choose frames", len(of_video)) as advance:
        running = [
            (found, lanes.submit(measure_video, found, captions, models, config))
            for _, found in sorted(of_video.items())
        ]
        for found, future in running:
            try:
                measured += future.result()
            except VideoError as error:
                failures += [
                    Failure(item.id, item.video_path, error.reason, error.message) for item in found
                ]
            advance(note=found[0].path.stem)
    measured.sort(key=lambda one: one.item.id)
    return measured, sorted(failures, key=lambda failure: failure.id)

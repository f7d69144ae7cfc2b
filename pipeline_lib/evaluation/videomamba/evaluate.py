"""Evaluation of a VideoMamba on whole videos, beside controls.

The controls that look at no video: uniform guessing (``chance``) and the shares of the training
classes (``majority``); for values their mean in training (``constant``) and ``zero``. Those that
do: the network without training (``random_init``), the trained one with the frames the other way
round (``reversed``) and in random order (``shuffled_frames``), a linear classifier of single frames
(``frame_model``), and the same training from random weights (``scratch``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.clip import load_clip
from pipeline_lib.backbones.loading import clip_section
from pipeline_lib.config import EvaluateVideoMambaConfig, Params, VideoMambaBackboneConfig
from pipeline_lib.datasets.layout import SPLITS
from pipeline_lib.datasets.video_clips.items import ClipList
from pipeline_lib.datasets.video_lists.missing import MissingVideo
from pipeline_lib.errors import BatchError, ConfigError, DataError, did_you_mean
from pipeline_lib.evaluation import Outputs, Request
from pipeline_lib.evaluation.videomamba.answers import FRAME_MODEL, TRAINED, AnsweredSplit
from pipeline_lib.evaluation.videomamba.drawn import Shown, draw_plots
from pipeline_lib.evaluation.videomamba.frame_model import FrameModel
from pipeline_lib.evaluation.videomamba.models import load_contenders
from pipeline_lib.evaluation.videomamba.splits import (
    Videos,
    fitting_splits,
    open_requested,
    training_labels,
    training_list,
    warn_of_leaks,
)
from pipeline_lib.evaluation.videomamba.tree import split_tree
from pipeline_lib.evaluation.videomamba.viewing import Contender, Views, answer
from pipeline_lib.evaluation.videomamba.written import write_tables
from pipeline_lib.runtime.lanes import Lanes
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.atomic import write_json
from pipeline_lib.trainers.left_out import FAILURES, write_failures
from pipeline_lib.trainers.videomamba.presets import resolve
from pipeline_lib.trainers.videomamba.splits import Clips

MODELS = Path("data") / "models" / "videomamba"


@dataclass(frozen=True)
class VideoMambaEvaluation:
    """A finished evaluation; see :class:`pipeline_lib.evaluation.Evaluation`.

    Attributes:
        metrics: ``{split: …, model}``, see :func:`.tree.split_tree`.
        shown: The splits, with the frames of their videos.
        stops: Whether videos that could not be watched end the command with an error.
        config: The section ``evaluate.videomamba``.
    """

    metrics: dict[str, Any]
    shown: tuple[Shown, ...]
    stops: bool
    config: EvaluateVideoMambaConfig

    def write(self, outputs: Outputs) -> None:
        """Write metrics and predictions of all splits, failures, and plots of the last."""
        write_json(outputs.metrics, self.metrics)
        write_tables(outputs.tables, [one.answered for one in self.shown])
        write_failures(outputs.tables, self._failures())
        last = self.shown[-1]
        draw_plots(outputs.plots, last, self.metrics[last.answered.split], self.config.examples)

    def raise_failures(self, outputs: Outputs | None) -> None:
        """Turn failures into the error an evaluation ends with, where the data set asks for it."""
        failures = self._failures()
        if failures and self.stops:
            split, video = failures[0]
            clips = sum(len(one.answered.clips.items) for one in self.shown) + len(failures)
            where = f"All are listed in {outputs.tables / FAILURES}. " if outputs else ""
            raise BatchError(
                f"{len(failures)} of {clips} videos could not be watched, first in {split}: "
                f"{video.id}: {video.reason}",
                hint=f"{where}The metrics are those of the others. "
                "train.videomamba.dataset.on_missing: list only counts them.",
            )

    def _failures(self) -> list[tuple[str, MissingVideo]]:
        of_splits = (one.answered for one in self.shown)
        return [(one.split, video) for one in of_splits for video in one.clips.missing]


def evaluate_videomamba(
    params: Params, request: Request, progress: Progress = SILENT
) -> VideoMambaEvaluation:
    """Evaluate a VideoMamba on the validation and test videos of ``train.videomamba``.

    Args:
        params: All of ``params.yaml``; ``data``, ``evaluate``, ``extract``, ``train.videomamba``
            and ``runtime`` are used.
        request: What to evaluate; ``checkpoint`` is a model folder or a published checkpoint.
        progress: Told of each video.

    Raises:
        ConfigError: An unknown split, windows are given, the network was trained for another
            task, or the CLIP has no section.
        DataError: Videos are not there, none of a split can be read, or they have other classes.
        WeightsError: Weights are missing or unfit.
    """
    _check(request)
    config, section = params.evaluate.videomamba, params.train.videomamba
    contenders = load_contenders(request.checkpoint or MODELS / config.checkpoint, params)
    trained = contenders[TRAINED].model
    settings = resolve(section, trained.shape)
    views = Views(
        config.segments or settings.segments,
        config.crops or settings.crops,
        (params.extract.videomamba or VideoMambaBackboneConfig()).batch_size,
    )
    videos = Videos(params, settings.dataset, trained, views.segments)
    splits = open_requested(videos, request, progress)
    train = training_list(videos)
    warn_of_leaks(splits, train)
    frames = _frame_model(params, videos, splits, views.segments, progress)
    with Lanes(trained.device, params.runtime.threads) as lanes:
        shown = tuple(
            _watched(split, contenders, views, lanes, frames, train, progress) for split in splits
        )
    metrics: dict[str, Any] = {one.answered.split: split_tree(one.answered) for one in shown}
    metrics["model"] = _facts(contenders[TRAINED], views)
    stops = section.dataset.on_missing == "stop"
    return VideoMambaEvaluation(metrics, shown, stops, config)


def _check(request: Request) -> None:
    if request.windows is not None:
        raise ConfigError(
            f"videomamba is not evaluated on packed windows ({request.windows}).",
            hint="Leave out --windows: its videos are those of train.videomamba.dataset.",
        )
    for name in set(request.splits) - set(SPLITS):
        raise ConfigError(f"Unknown split {name!r}.", hint=did_you_mean(name, SPLITS))


def _watched(
    split: Clips,
    contenders: dict[str, Contender],
    views: Views,
    lanes: Lanes,
    frames: FrameModel | None,
    train: ClipList | None,
    progress: Progress,
) -> Shown:
    classes = split.listed.classes
    answers, failed = answer(
        split.store,
        contenders,
        views,
        lanes,
        classify=classes is not None,
        progress=progress,
        title=f"watch videos, {split.name}",
    )
    clips = split.listed.without(failed)
    if not clips.items:
        raise DataError(
            f"No video of {split.name} can be read, first: {failed[0].path}: {failed[0].reason}",
            hint="Correct train.videomamba.dataset, or the videos.",
        )
    if frames is not None:
        answers[FRAME_MODEL] = frames.answer(split)
    answered = AnsweredSplit(split.name, clips, answers, training_labels(train))
    return Shown(answered, split.store, views.segments)


def _frame_model(
    params: Params, videos: Videos, splits: Sequence[Clips], segments: int, progress: Progress
) -> FrameModel | None:
    """The control of single frames, where the parameters ask for it."""
    name = params.evaluate.videomamba.frame_backbone
    if name is None:
        return None
    extract, seed = params.extract, params.train.videomamba.seed
    section = clip_section(name, extract, "evaluate.videomamba.frame_backbone")
    fitting = fitting_splits(videos, splits, progress)
    if fitting is None:
        return None
    clip = load_clip(section, Placement(videos.device, extract.precision, extract.batch_size))
    return FrameModel(clip, segments, *fitting, seed, progress)


def _facts(trained: Contender, views: Views) -> dict[str, Any]:
    """What was evaluated, and on what."""
    model = trained.model
    return {
        "parameters": sum(weight.numel() for weight in model.network.parameters()),
        "frames": model.shape.frames,
        "image_size": model.shape.image_size,
        "tokens": model.shape.tokens,
        "segments": views.segments,
        "crops": views.crops,
    }

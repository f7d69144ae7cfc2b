"""Evaluation of text-video retrieval, beside models that know less.

The controls: the model's CLIP on the same frames one by one (``zero_shot``), the network as
training found it (``untrained``), the trained one with captions exchanged (``shuffled``), and
videos in random order (``chance``).
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_lib.backbones.retrieval_embedding import embed_texts
from pipeline_lib.config import EvaluateTempMeStopConfig, Params
from pipeline_lib.datasets.layout import SPLITS
from pipeline_lib.datasets.video_lists.missing import MissingVideo
from pipeline_lib.datasets.video_text.reading import NoVideosError, read_video_text
from pipeline_lib.errors import BatchError, ConfigError, DataError, did_you_mean
from pipeline_lib.evaluation import Outputs, Request
from pipeline_lib.evaluation.tempme_stop.drawn import draw_plots
from pipeline_lib.evaluation.tempme_stop.facts import cost, model_facts
from pipeline_lib.evaluation.tempme_stop.models import Models, load_models, score_split
from pipeline_lib.evaluation.tempme_stop.tree import MeasuredSplit, measure_split, split_tree
from pipeline_lib.evaluation.tempme_stop.written import write_tables
from pipeline_lib.metrics.retrieval import caption_key
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.runtime.seeding import numpy_stream
from pipeline_lib.storage.atomic import write_json
from pipeline_lib.trainers.left_out import FAILURES, write_failures
from pipeline_lib.trainers.tempme_stop.splits import CaptionedFrames, open_split

MODELS = Path("data") / "models" / "tempme_stop"
FRAMES = Path("data") / ".scratch" / "frames"
_TIED = 5.0  # per cent of the queries
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class TempMeStopEvaluation:
    """A finished evaluation; see :class:`pipeline_lib.evaluation.Evaluation`.

    Attributes:
        metrics: ``{split: …, model, cost}``, see :func:`.tree.split_tree`.
        measured: The splits.
        failures: Split and video of each that is missing or broken.
        stops: Whether these end the command with an error.
        config: The section ``evaluate.tempme_stop``.
    """

    metrics: dict[str, Any]
    measured: tuple[MeasuredSplit, ...]
    failures: tuple[tuple[str, MissingVideo], ...]
    stops: bool
    config: EvaluateTempMeStopConfig

    def write(self, outputs: Outputs) -> None:
        """Write metrics and tables of all splits, failures, and plots of the last."""
        write_json(outputs.metrics, self.metrics)
        write_tables(outputs.tables, self.measured)
        write_failures(outputs.tables, self.failures)
        draw_plots(outputs.plots, self.measured[-1], self.config)

    def raise_failures(self, outputs: Outputs | None) -> None:
        """Turn failures into the error an evaluation ends with, where the data set asks for it."""
        if self.failures and self.stops:
            split, video = self.failures[0]
            videos = sum(len(one.scores.data.videos) for one in self.measured) + len(self.failures)
            where = f"All are listed in {outputs.tables / FAILURES}. " if outputs else ""
            raise BatchError(
                f"{len(self.failures)} of {videos} videos could not be measured, first in {split}: "
                f"{video.id}: {video.reason}",
                hint=f"{where}The metrics are those of the others. "
                "train.tempme_stop.dataset.on_missing: list only counts them.",
            )


def evaluate_tempme_stop(
    params: Params, request: Request, progress: Progress = SILENT
) -> TempMeStopEvaluation:
    """Evaluate a retrieval model on the validation and test videos of ``train.tempme_stop``.

    Args:
        params: All of ``params.yaml``; ``data``, ``evaluate``, ``extract``, ``train.tempme_stop``
            and ``runtime`` are used. How the model was trained stands in its folder.
        request: What to evaluate; ``checkpoint`` is a model folder.
        progress: Told of each video.

    Raises:
        ConfigError: An unknown split, windows are given, or the CLIP has no section.
        DataError: Captions or videos are not there, or none of a split can be read.
        WeightsError: Weights are missing, unfit, or not those that training started from.
    """
    if request.windows is not None:
        raise ConfigError(
            f"tempme_stop is not evaluated on packed windows ({request.windows}).",
            hint="Leave out --windows: its videos are those of train.tempme_stop.dataset.",
        )
    for name in set(request.splits) - set(SPLITS):
        raise ConfigError(f"Unknown split {name!r}.", hint=did_you_mean(name, SPLITS))
    config = params.evaluate.tempme_stop
    models = load_models(request.checkpoint or MODELS / config.checkpoint, params)
    captions, trained_on = _training(params, config)
    bank = embed_texts(models.trained, captions) if captions else None
    measured = []
    for split in _open_splits(params, request, models, progress):
        _warn_of_leak(split, trained_on)
        scores = score_split(
            split,
            models,
            equal_captions=params.train.tempme_stop.dataset.equal_captions == "match",
            bank=bank,
            rerank_best=config.rerank,
            progress=progress,
        )
        measured.append(measure_split(scores, config))
    metrics: dict[str, Any] = {one.scores.split: split_tree(one, config) for one in measured}
    for name, tree in metrics.items():
        _warn_of_ties(name, tree)
    metrics["model"] = model_facts(models.trained)
    metrics["cost"] = cost(models.trained)
    failures = [(one.scores.split, video) for one in measured for video in one.scores.data.missing]
    stops = params.train.tempme_stop.dataset.on_missing == "stop"
    return TempMeStopEvaluation(metrics, tuple(measured), tuple(failures), stops, config)


def _open_splits(
    params: Params, request: Request, models: Models, progress: Progress
) -> list[CaptionedFrames]:
    """The splits with their frames; one that the data set lacks is left out unless asked for."""
    found: list[CaptionedFrames] = []
    missing: NoVideosError | None = None
    for split in request.splits:
        try:
            found.append(_open_split(split, params, models, progress))
        except NoVideosError as error:
            if request.splits != Request.splits:
                raise
            _LOG.warning("%s", error.message)
            missing = error
    if missing and not found:
        raise missing
    return found


def _open_split(split: str, params: Params, models: Models, progress: Progress) -> CaptionedFrames:
    return open_split(
        split,
        params.train.tempme_stop,
        Path(params.data.root),
        frames=models.trained.frames,
        draws=1,
        resize=models.trained.preprocess.resize,
        cache=FRAMES,
        decoder=params.extract.decoder,
        tolerant=params.extract.tolerant,
        progress=progress,
    )


def _training(params: Params, config: EvaluateTempMeStopConfig) -> tuple[list[str], set[Path]]:
    """Training captions for the querybank, and the training videos; both may be none."""
    try:
        data = read_video_text(params.train.tempme_stop.dataset, Path(params.data.root), "train")
    except DataError as error:
        # Whoever only evaluates may have no training videos.
        _LOG.warning("no querybank, so that qb_norm is undefined: %s", error.message)
        return [], set()
    distinct = sorted({caption_key(text): text for text in reversed(data.texts)}.values())
    stream = numpy_stream("retrieval querybank")
    chosen = stream.permutation(len(distinct))[: config.qb_norm.bank]
    return [distinct[row] for row in sorted(chosen)], {video.path for video in data.videos}


def _warn_of_ties(split: str, tree: dict[str, Any]) -> None:
    for name, against in tree["ties_against"].items():
        if tree[name] - against > _TIED:
            _LOG.warning(
                "%s: many scores are equal: %s is %.1f with ties for the query, %.1f against it.",
                split,
                name,
                tree[name],
                against,
            )


def _warn_of_leak(split: CaptionedFrames, trained_on: set[Path]) -> None:
    known = sum(video.path in trained_on for video in split.text.videos)
    if known:
        _LOG.warning(
            "%s: %d of %d videos are training videos too: its metrics say little.",
            split.name,
            known,
            len(split.text.videos),
        )

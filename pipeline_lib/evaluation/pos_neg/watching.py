"""One video: who chooses which frames, and how well these answer its questions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.backbones.video_embedding import EmbeddedVideo, embed_video, rounded_cosines
from pipeline_lib.config import EvaluatePosNegConfig
from pipeline_lib.evaluation.pos_neg.choosers import (
    FINE_TUNED,
    SHUFFLED,
    ZERO_SHOT,
    Choice,
    by_scores,
    without_scores,
)
from pipeline_lib.evaluation.pos_neg.items import Item
from pipeline_lib.evaluation.pos_neg.models import Captions, Models
from pipeline_lib.metrics.frame_recall import frame_precision, frame_recall
from pipeline_lib.metrics.sim_m import weakest_match


@dataclass(frozen=True)
class ChosenFrames:
    """How well the frames of one choice answer one item.

    Attributes:
        chooser: Who chose.
        draw: Repetition of the random choice.
        recall: Number of wanted frames to the share of the moments that were found.
        precision: Number of wanted frames to the share of them that are near a moment.
        weakest_match: The largest m of Sim-m at which the item counts.
        source_index: The frames that were compared, int64 [k].
        pts_s: When they are first shown, float64 [k].
        scores: Their cosine with the caption, float64 [k]; ``None`` where nobody looked.
    """

    chooser: str
    draw: int
    recall: Mapping[int, float | None]
    precision: Mapping[int, float | None]
    weakest_match: float | None
    source_index: NDArray[np.int64]
    pts_s: NDArray[np.float64]
    scores: NDArray[np.float64] | None


@dataclass(frozen=True)
class MeasuredItem:
    """An item and everybody's frames.

    Attributes:
        item: The item.
        chosen: One entry a chooser, several of the random one.
        duration_s: Length of the video.
        pts_s: When the sampled frames are first shown, float64 [n].
        curves: Chooser to the scores of all sampled frames, float32 [n]: before and after.
    """

    item: Item
    chosen: tuple[ChosenFrames, ...]
    duration_s: float
    pts_s: NDArray[np.float64]
    curves: Mapping[str, NDArray[np.float32]]

    def of(self, chooser: str) -> list[ChosenFrames]:
        """The entries of one chooser, in the order of its draws."""
        return [frames for frames in self.chosen if frames.chooser == chooser]


def measure_video(
    items: Sequence[Item], captions: Captions, models: Models, config: EvaluatePosNegConfig
) -> list[MeasuredItem]:
    """Choose frames of one video for each of its items, and compare them with the true ones.

    The video is read twice: once for the models that choose, and once for the few frames that
    anybody chose or that are true.

    Args:
        items: Of one video, at least one.
        captions: All captions of these items.
        models: The networks.
        config: How frames are chosen and counted.

    Raises:
        VideoError: The video cannot be read.
        WeightsError: A network gives features without direction.
    """
    path = items[0].path
    sampled = embed_video(path, [models.before, models.after], every_s=1.0 / config.fps)
    blind = without_scores(
        len(sampled), _counts(config), config.segments, config.random_draws, items[0].video
    )
    choices = [[*_seeing(item, sampled, captions, config), *blind] for item in items]
    compared = _Compared(path, sampled, items, choices, models, config.k)
    return [
        MeasuredItem(
            item,
            tuple(_measure(item, choice, sampled, compared, config) for choice in of_item),
            sampled.duration_s,
            sampled.pts_s,
            {
                choice.chooser: choice.scores.astype(np.float32)
                for choice in of_item
                if choice.scores is not None and choice.chooser != SHUFFLED
            },
        )
        for item, of_item in zip(items, choices, strict=True)
    ]


def _counts(config: EvaluatePosNegConfig) -> list[int]:
    return sorted({*config.recall_at, config.k})


def _seeing(
    item: Item, sampled: EmbeddedVideo, captions: Captions, config: EvaluatePosNegConfig
) -> list[Choice]:
    """The choices of those who look at the video."""
    before, after = sampled.features
    scores = {
        FINE_TUNED: rounded_cosines(after, captions.after[item.caption]),
        ZERO_SHOT: rounded_cosines(before, captions.before[item.caption]),
    }
    if item.other_caption is not None:
        scores[SHUFFLED] = rounded_cosines(after, captions.after[item.other_caption])
    counts = _counts(config)
    return [by_scores(name, found, counts, config.segments) for name, found in scores.items()]


class _Compared:
    """Cosines between true and chosen frames, of one sparse pass over the video."""

    def __init__(
        self,
        path: Path,
        sampled: EmbeddedVideo,
        items: Sequence[Item],
        choices: Sequence[Sequence[Choice]],
        models: Models,
        k: int,
    ) -> None:
        chosen = {int(p) for of_item in choices for choice in of_item for p in choice.positions[k]}
        positions = sorted(chosen)
        moments = sorted({time for item in items for time in item.support_s})
        times = [*sampled.pts_s[positions], *moments]
        seen = embed_video(path, [models.embedder], times_s=times, squash=models.squash)
        rows = seen.features[0]
        self._chosen = dict(zip(positions, rows, strict=False))
        self._true = dict(zip(moments, rows[len(positions) :], strict=True))

    def weakest_match(self, moments: Sequence[float], positions: NDArray[np.int64]) -> float | None:
        """Of the frames shown at ``moments`` among the sampled frames at ``positions``."""
        chosen = np.stack([self._chosen[position] for position in positions.tolist()])
        cosines = [rounded_cosines(chosen, self._true[moment]) for moment in moments]
        return weakest_match(np.stack(cosines) if cosines else np.zeros((0, len(chosen))))


def _measure(
    item: Item,
    choice: Choice,
    sampled: EmbeddedVideo,
    compared: _Compared,
    config: EvaluatePosNegConfig,
) -> ChosenFrames:
    times = {k: sampled.pts_s[choice.positions[k]] for k in config.recall_at}
    kept = choice.positions[config.k]
    tolerance = config.tolerance_s
    return ChosenFrames(
        chooser=choice.chooser,
        draw=choice.draw,
        recall={k: frame_recall(t, item.support_s, tolerance) for k, t in times.items()},
        precision={k: frame_precision(t, item.support_s, tolerance) for k, t in times.items()},
        weakest_match=compared.weakest_match(item.support_s, kept),
        source_index=sampled.source_index[kept],
        pts_s=sampled.pts_s[kept],
        scores=None if choice.scores is None else choice.scores[kept],
    )

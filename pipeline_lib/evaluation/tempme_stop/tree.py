"""The numbers of an evaluation: the trained model's, its controls', and what rescoring gives."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.config import EvaluateTempMeStopConfig
from pipeline_lib.evaluation.tempme_stop.scores import (
    CHANCE,
    CONTROLS,
    SHUFFLED,
    TRAINED,
    UNTRAINED,
    ZERO_SHOT,
    SplitScores,
)
from pipeline_lib.evaluation.tempme_stop.shuffling import shuffled_ranks
from pipeline_lib.metrics.grouped_mean import mean_and_error
from pipeline_lib.metrics.rescoring import dual_softmax, querybank_norm
from pipeline_lib.metrics.retrieval import (
    DIRECTIONS,
    RetrievalRanks,
    Value,
    rank_metrics,
    retrieval_ranks,
)
from pipeline_lib.metrics.retrieval_chance import chance_metrics

Tree = dict[str, Any]


@dataclass(frozen=True)
class MeasuredSplit:
    """One split with the ranks that all metrics follow from.

    Attributes:
        scores: The similarities.
        match: What belongs together, boolean [texts, videos].
        ranks: Everyone but chance to ranks, one a draw; none where undefined.
    """

    scores: SplitScores
    match: NDArray[np.bool_]
    ranks: Mapping[str, tuple[RetrievalRanks, ...]]

    def metrics(self, name: str, recall_at: Sequence[int]) -> dict[str, Value]:
        """Metrics of the trained model or a control, the mean over its draws."""
        if name == CHANCE:
            groups = self.scores.data.video_of_text
            return chance_metrics(self.match, groups=groups, recall_at=recall_at)
        nobody = RetrievalRanks(np.zeros(0, np.int64), np.zeros(0, np.int64))
        draws = [rank_metrics(ranks, recall_at) for ranks in self.ranks[name] or (nobody,)]
        return {name: _mean([draw[name] for draw in draws]) for name in draws[0]}


def measure_split(scores: SplitScores, config: EvaluateTempMeStopConfig) -> MeasuredSplit:
    """Rank the videos of every text and the texts of every video."""
    match, groups = scores.match(), scores.data.video_of_text
    ranks: dict[str, tuple[RetrievalRanks, ...]] = {
        name: (retrieval_ranks(scores.similarity[name], match, groups=groups),)
        for name in (TRAINED, ZERO_SHOT, UNTRAINED)
    }
    ranks[SHUFFLED] = shuffled_ranks(scores, match, config.shuffles)
    return MeasuredSplit(scores, match, ranks)


def split_tree(measured: MeasuredSplit, config: EvaluateTempMeStopConfig) -> Tree:
    """Metrics of one split.

    Returns:
        Counts; the trained model's ``t2v_r1`` …, ``v2t_r1`` … and ``r_sum``; the standard error of
        R@1; ``ties_against``, what R@1 is when equal scores come before the right one; ``gain``
        over ``zero_shot``, the mean of the queries' differences and its standard error; ``control``
        with the same names; ``dsl``, ``qb_norm`` and, where there is one, ``rerank``. Errors take
        the queries of one file as one observation. ``None`` where undefined.
    """
    data, recall_at = measured.scores.data, sorted(set(config.recall_at))
    tree: Tree = {
        "texts": len(data.texts),
        "videos": len(data.videos),
        "missing": len(data.missing),
        **measured.metrics(TRAINED, recall_at),
        **_errors(measured),
        "ties_against": _ties_against(measured),
        "gain": _gains(measured, recall_at),
        "control": {name: measured.metrics(name, recall_at) for name in CONTROLS},
        "dsl": _dual_softmax(measured, config.dsl_scale, recall_at),
        "qb_norm": _querybank(measured, config, recall_at),
    }
    if measured.scores.reranked is not None:
        tree["rerank"] = rank_metrics(_both(measured, *measured.scores.reranked), recall_at)
    return tree


def _both(
    measured: MeasuredSplit, of_texts: NDArray[np.floating], of_videos: NDArray[np.floating]
) -> RetrievalRanks:
    """Ranks where texts and videos as queries have similarities of their own, [texts, videos]."""
    groups = measured.scores.data.video_of_text
    return RetrievalRanks(
        retrieval_ranks(of_texts, measured.match).t2v,
        retrieval_ranks(of_videos, measured.match, groups=groups).v2t,
    )


def _dual_softmax(
    measured: MeasuredSplit, scale: float, recall_at: Sequence[int]
) -> dict[str, Value]:
    similarity = measured.scores.similarity[TRAINED]
    of_videos = dual_softmax(similarity.T, scale).T
    return rank_metrics(_both(measured, dual_softmax(similarity, scale), of_videos), recall_at)


def _querybank(
    measured: MeasuredSplit, config: EvaluateTempMeStopConfig, recall_at: Sequence[int]
) -> dict[str, Value]:
    """Of texts as queries: a bank of captions says nothing about videos as queries."""
    videos = np.zeros(len(measured.scores.data.videos), np.int64)
    bank = measured.scores.bank
    if bank is None:
        return rank_metrics(RetrievalRanks(np.zeros(0, np.int64), videos), recall_at)
    chosen = config.qb_norm
    similarity = querybank_norm(
        measured.scores.similarity[TRAINED], bank, k=chosen.k, beta=chosen.beta
    )
    ranks = retrieval_ranks(similarity, measured.match).t2v
    return rank_metrics(RetrievalRanks(ranks, videos), recall_at)


def _files(measured: MeasuredSplit, direction: str) -> list[str]:
    """The file of each query."""
    data = measured.scores.data
    of_video = [str(video.path) for video in data.videos]
    return of_video if direction == "v2t" else [of_video[video] for video in data.video_of_text]


def _hits(ranks: RetrievalRanks, direction: str, k: int) -> NDArray[np.float64]:
    """100 for each query that finds what belongs to it among the first ``k``, else 0."""
    return np.where(ranks.of(direction) <= k, 100.0, 0.0)


def _errors(measured: MeasuredSplit) -> dict[str, Value]:
    (trained,) = measured.ranks[TRAINED]
    return {
        f"{direction}_r1_se": mean_and_error(
            _hits(trained, direction, 1).tolist(), _files(measured, direction)
        )[1]
        for direction in DIRECTIONS
    }


def _ties_against(measured: MeasuredSplit) -> dict[str, Value]:
    scores = measured.scores
    ranks = retrieval_ranks(
        scores.similarity[TRAINED], measured.match, groups=scores.data.video_of_text, ties="against"
    )
    metrics = rank_metrics(ranks, (1,))
    return {name: metrics[name] for name in ("t2v_r1", "v2t_r1")}


def _gains(measured: MeasuredSplit, recall_at: Sequence[int]) -> dict[str, dict[str, Value]]:
    (after,), (before,) = measured.ranks[TRAINED], measured.ranks[ZERO_SHOT]
    gains: dict[str, dict[str, Value]] = {}
    for direction in DIRECTIONS:
        files = _files(measured, direction)
        for k in recall_at:
            change = _hits(after, direction, k) - _hits(before, direction, k)
            mean, error = mean_and_error(change.tolist(), files)
            gains[f"{direction}_r{k}"] = {"mean": mean, "se": error}
    return gains


def _mean(values: Sequence[Value]) -> Value:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None

"""Text-video retrieval: the rank at which a query finds what belongs to it.

A query's rank is 1 + the candidates that do not belong to it and score strictly higher than the
best one that does. Every query counts once, whatever ties there are; a tie is decided for the
query, so that a model whose scores are all equal looks perfect: ``ties="against"`` tells it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline_lib.errors import DataError

Ties = Literal["for", "against"]
Value = float | None

RECALL_AT = (1, 5, 10, 50)
DIRECTIONS = ("t2v", "v2t")
SUMMED = (1, 5, 10)  # R-Sum adds these recalls of both directions
_BLOCK = 1 << 22  # similarities that are compared at once


@dataclass(frozen=True)
class RetrievalRanks:
    """Ranks from 1; 0 stands for a query to which nothing belongs, which no metric counts.

    Attributes:
        t2v: int64 [texts], of the best video that belongs to a text.
        v2t: int64 [videos], of the best text that belongs to a video.
    """

    t2v: NDArray[np.int64]
    v2t: NDArray[np.int64]

    def of(self, direction: str) -> NDArray[np.int64]:
        """The ranks of ``t2v`` or ``v2t``, of the queries that count."""
        ranks = {"t2v": self.t2v, "v2t": self.v2t}[direction]
        return ranks[ranks > 0]


def retrieval_metrics(
    similarity: ArrayLike,
    match: NDArray[np.bool_] | None = None,
    *,
    groups: NDArray[np.int64] | None = None,
    recall_at: Sequence[int] = RECALL_AT,
) -> dict[str, Value]:
    """Recall, median and mean rank in both directions.

    Args:
        similarity: Float [texts, videos], the higher the more alike.
        match: Boolean [texts, videos], what belongs together; ``None`` is text i to video i.
        groups: int64 [texts], the video a text was written for. Where it is given, the texts of
            one video are one candidate of ``v2t``, as the sets with several captions a video are
            published: a video competes with other videos' best captions, not with each.
        recall_at: Ranks k of the recalls.

    Returns:
        ``t2v_r1`` …, ``t2v_mdr``, ``t2v_mnr`` and the same for ``v2t``; recalls in per cent, which
        are 100 where k is as large as the gallery. ``r_sum`` is the sum of R@1, R@5 and R@10 of
        both. ``None`` where no query of a direction has anything that belongs to it.

    Raises:
        DataError: The matrix is empty, not 2-D or holds NaN, or the arrays do not fit together.
    """
    return rank_metrics(retrieval_ranks(similarity, match, groups=groups), recall_at)


def rank_metrics(ranks: RetrievalRanks, recall_at: Sequence[int] = RECALL_AT) -> dict[str, Value]:
    """The metrics of :func:`retrieval_metrics` from ranks at hand."""
    found: dict[str, dict[str, Value]] = {}
    for direction in DIRECTIONS:
        some = ranks.of(direction)
        known = len(some) > 0
        found[direction] = {
            **{f"r{k}": recall(some, k) for k in {*recall_at, *SUMMED}},
            "mdr": float(np.median(some)) if known else None,
            "mnr": float(some.mean()) if known else None,
        }
    return with_sum(found, recall_at)


def recall(ranks: NDArray[np.int64], k: int) -> Value:
    """Per cent of ``ranks`` up to ``k``; ``None`` without ranks."""
    return float(100 * np.count_nonzero(ranks <= k) / len(ranks)) if len(ranks) else None


def with_sum(
    found: Mapping[str, Mapping[str, Value]], recall_at: Sequence[int]
) -> dict[str, Value]:
    """Metrics under their full names, and R-Sum.

    Args:
        found: Direction to ``r1`` …, ``mdr`` and ``mnr``, with the recalls that are summed.
        recall_at: Of which recalls the result tells.
    """
    names = (*(f"r{k}" for k in recall_at), "mdr", "mnr")
    metrics = {f"{d}_{name}": found[d][name] for d in DIRECTIONS for name in names}
    parts = [found[d][f"r{k}"] for d in DIRECTIONS for k in SUMMED]
    known = [part for part in parts if part is not None]
    return metrics | {"r_sum": math.fsum(known) if len(known) == len(parts) else None}


def retrieval_ranks(
    similarity: ArrayLike,
    match: NDArray[np.bool_] | None = None,
    *,
    groups: NDArray[np.int64] | None = None,
    ties: Ties = "for",
) -> RetrievalRanks:
    """The rank of every query; arguments as of :func:`retrieval_metrics`.

    Args:
        similarity: Float [texts, videos].
        match: Boolean [texts, videos].
        groups: int64 [texts].
        ties: Whether candidates as good as the right one come after it or before it.

    Raises:
        DataError: As :func:`retrieval_metrics`.
    """
    table = np.asarray(similarity)
    if table.ndim != 2 or not table.size:
        raise DataError(f"A similarity matrix is [texts, videos], not {list(table.shape)}.")
    if match is None and table.shape[0] != table.shape[1]:
        raise DataError(
            f"{table.shape[0]} texts and {table.shape[1]} videos: which belong together?",
            hint="Give the match matrix.",
        )
    if match is not None and match.shape != table.shape:
        raise DataError(f"Matches {list(match.shape)} of similarities {list(table.shape)}.")
    if groups is not None and groups.shape != table.shape[:1]:
        raise DataError(f"Groups {list(groups.shape)} of {table.shape[0]} texts.")
    return RetrievalRanks(
        _ranks(table, match, None, ties),
        _ranks(table.T, None if match is None else match.T, groups, ties),
    )


def cosines(texts: NDArray[np.floating], videos: NDArray[np.floating]) -> NDArray[np.float32]:
    """Cosines of vectors of length 1, the same wherever in the table two equal vectors stand.

    A product in fp32 adds up in an order that depends on the place in the matrix, so that the
    scores of two equal videos would differ by rounding and chance would rank them.

    Args:
        texts: [texts, D].
        videos: [videos, D].

    Returns:
        float32 [texts, videos].
    """
    table = np.empty((len(texts), len(videos)), dtype=np.float32)
    columns = videos.astype(np.float64).T
    for rows in _blocks(*table.shape):
        table[rows] = texts[rows].astype(np.float64) @ columns
    return table


def _ranks(
    table: NDArray[np.floating],
    match: NDArray[np.bool_] | None,
    groups: NDArray[np.int64] | None,
    ties: Ties,
) -> NDArray[np.int64]:
    """The rank of each row of ``table`` [queries, candidates], groups of candidates being one."""
    queries, candidates = table.shape
    ranks = np.zeros(queries, dtype=np.int64)
    order = None if groups is None else np.argsort(groups, kind="stable")
    starts = _group_starts(groups[order]) if groups is not None and order is not None else None
    for rows in _blocks(queries, candidates):
        scores = np.asarray(table[rows])
        if np.isnan(scores).any():
            raise DataError("A similarity matrix holds NaN.", hint="A vector has no direction.")
        own = (
            np.arange(queries)[rows, None] == np.arange(candidates)
            if match is None
            else match[rows]
        )
        best = np.where(own, scores, -np.inf).max(axis=1, keepdims=True)
        better = (scores > best if ties == "for" else scores >= best) & ~own
        if order is not None and starts is not None:
            better = np.logical_or.reduceat(better[:, order], starts, axis=1)
        ranks[rows] = np.where(own.any(axis=1), 1 + np.count_nonzero(better, axis=1), 0)
    return ranks


def _group_starts(ordered: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each group begins in an ascending list of group numbers."""
    return np.concatenate([[0], np.flatnonzero(np.diff(ordered)) + 1])


def _blocks(rows: int, columns: int) -> Iterator[slice]:
    """Slices over ``rows`` of a table, few enough at once for memory."""
    step = max(1, _BLOCK // max(columns, 1))
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


def match_matrix(
    video_of_text: NDArray[np.int64], n_videos: int, texts: Sequence[str] | None = None
) -> NDArray[np.bool_]:
    """What belongs together.

    Args:
        video_of_text: int64 [texts], the video each was written for.
        n_videos: Number of videos.
        texts: The texts, where one that several videos bear word for word belongs to all of them;
            letter case and spacing do not count, since a tokenizer drops them. ``None`` lets it
            belong to its own video only.

    Returns:
        Boolean [texts, videos].

    Raises:
        DataError: A video number is out of range, or there is not one for each text.
    """
    videos = np.asarray(video_of_text, dtype=np.int64)
    if len(videos) and not 0 <= videos.min() <= videos.max() < n_videos:
        wrong = videos.min() if videos.min() < 0 else videos.max()
        raise DataError(f"Videos are numbered 0 to {n_videos - 1}, found {wrong}.")
    if texts is None:
        own: NDArray[np.bool_] = videos[:, None] == np.arange(n_videos)
        return own
    if len(texts) != len(videos):
        raise DataError(f"{len(texts)} texts for {len(videos)} video numbers.")
    names, class_of = np.unique(list(map(caption_key, texts)), return_inverse=True)
    bears = np.zeros((len(names), n_videos), dtype=bool)
    bears[class_of, videos] = True
    return bears[class_of]


def caption_key(text: str) -> str:
    """Equal for captions that are the same word for word."""
    return " ".join(text.split()).casefold()

"""One item of a watched video: which of its frames become pictures, and what they are called."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.backbones.video_embedding import rounded_cosines
from pipeline_lib.config import MineConfig
from pipeline_lib.datasets.mined import NEGATIVE, TRUE
from pipeline_lib.datasets.questions import Question
from pipeline_lib.mining.candidates import ItemPlan
from pipeline_lib.mining.report import NO_SEGMENT, MinedFrame, MinedItem
from pipeline_lib.mining.watching import SeenFrame

T = TypeVar("T")


def mine_item(plan: ItemPlan, seen: Mapping[int, SeenFrame], config: MineConfig) -> MinedItem:
    """Choose the true frames of an item and candidates that differ from all of them.

    Args:
        plan: What the item needs.
        seen: What is shown at each of its frames.
        config: Strategy, threshold and number of negatives.
    """
    question = plan.question
    true = _distinct((time, seen[position]) for position, time in plan.true.items())
    # A damaged video can show a true frame, or an earlier candidate, in a candidate's place.
    candidates = _distinct(
        ((candidate.segment, seen[candidate.frame]) for candidate in plan.candidates),
        known={frame.source_index for _, frame in true},
    )
    segments = [segment for segment, _ in candidates]
    frames = [frame for _, frame in candidates]
    embeddings = [frame.embedding for _, frame in true]
    cosines = [max_cosine(frame.embedding, embeddings) for frame in frames]
    chosen = select(segments, [frame.source_index for frame in frames], cosines, config)
    rows = [
        _row(question, TRUE, f"true{number:02d}", frame, requested_s=time)
        for number, (time, frame) in enumerate(true)
    ]
    for k in chosen:
        place = f"neg_seg{segments[k]:02d}"
        rows.append(
            _row(question, NEGATIVE, place, frames[k], segment=segments[k], max_cosine=cosines[k])
        )
    empty = sorted(set(range(config.segments)) - {segments[k] for k in chosen})
    return MinedItem(question, tuple(rows), tuple(cosines), tuple(empty))


def max_cosine(embedding: NDArray[np.float64], true: Sequence[NDArray[np.float64]]) -> float:
    """The largest cosine of a frame to any true frame, rounded to six decimals.

    Args:
        embedding: float64 [D], length 1.
        true: At least one, each float64 [D], length 1.
    """
    return float(rounded_cosines(np.stack(true), embedding).max())


def select(
    segments: Sequence[int], frames: Sequence[int], cosines: Sequence[float], config: MineConfig
) -> list[int]:
    """Choose negatives among candidates.

    Args:
        segments: Segment of each candidate, in the order of the draws.
        frames: Its place among the frames of the video.
        cosines: Its largest cosine to a true frame; a negative's is below ``threshold``.
        config: Of each segment at most ``frames_per_segment`` are taken: with ``strategy: random``
            the first that pass, with ``hard`` those most similar to a true frame, the earlier
            one of equals.

    Returns:
        Positions of the chosen candidates in the order of time.
    """
    order: Sequence[int] = range(len(frames))
    if config.strategy == "hard":
        order = sorted(order, key=lambda k: (-cosines[k], frames[k]))
    kept: Counter[int] = Counter()
    chosen = []
    for k in order:
        if cosines[k] < config.threshold and kept[segments[k]] < config.frames_per_segment:
            kept[segments[k]] += 1
            chosen.append(k)
    return sorted(chosen, key=lambda k: frames[k])


def _distinct(
    tagged: Iterable[tuple[T, SeenFrame]], known: Collection[int] = ()
) -> list[tuple[T, SeenFrame]]:
    """The first of each source frame, without those already ``known``."""
    seen = set(known)
    first = []
    for tag, frame in tagged:
        if frame.source_index not in seen:
            seen.add(frame.source_index)
            first.append((tag, frame))
    return first


def _row(
    question: Question,
    kind: str,
    place: str,
    frame: SeenFrame,
    *,
    segment: int = NO_SEGMENT,
    requested_s: float | None = None,
    max_cosine: float | None = None,
) -> MinedFrame:
    name = f"{question.id}_{place}_f{frame.source_index:06d}.png"
    return MinedFrame(
        id=question.id,
        kind=kind,
        segment=segment,
        path=f"frames_{kind}/{question.id}/{name}",
        video_path=question.video_path,
        source_index=frame.source_index,
        pts_s=frame.pts_s,
        requested_s=requested_s,
        max_cosine=max_cosine,
        question=question.question,
    )

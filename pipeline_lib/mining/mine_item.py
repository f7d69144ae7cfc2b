"""One item of a watched video: which of its frames become pictures, and what they are called."""

from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

from pipeline_lib.config import MineConfig
from pipeline_lib.datasets.mined import NEGATIVE, TRUE
from pipeline_lib.datasets.questions import Question
from pipeline_lib.mining.candidates import ItemPlan
from pipeline_lib.mining.report import NO_SEGMENT, MinedFrame, MinedItem
from pipeline_lib.mining.selection import max_cosine, select
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

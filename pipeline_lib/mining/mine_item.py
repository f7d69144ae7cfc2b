"""One item of a watched video: choose its negatives, save its frames, draw its contact sheet."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline_lib.config import MineConfig
from pipeline_lib.datasets.questions import Question
from pipeline_lib.mining.candidates import ItemPlan
from pipeline_lib.mining.items import ItemError
from pipeline_lib.mining.report import NEGATIVE, NO_SEGMENT, TRUE, MinedFrame, MinedItem
from pipeline_lib.mining.selection import max_cosine, select
from pipeline_lib.mining.sheets import draw_sheet
from pipeline_lib.mining.watching import SeenFrame, WatchedVideo
from pipeline_lib.storage.atomic import replacing
from pipeline_lib.video.reader import TIME_TOLERANCE_S

T = TypeVar("T")


def mine_item(plan: ItemPlan, video: WatchedVideo, config: MineConfig, out: Path) -> MinedItem:
    """Save the true frames of an item and the candidates that differ from all of them.

    Args:
        plan: What the item needs; all of it was watched.
        video: Its video.
        config: Threshold and number of negatives.
        out: Gets ``frames_true/<id>/``, ``frames_neg/<id>/`` and ``sheets/<id>.png``.

    Raises:
        ItemError: A support time is beyond the end of the video (``beyond_end``).
    """
    question = plan.question
    _refuse_beyond_end(question, video.end_s)
    true = _distinct((time, video.frames[position]) for position, time in plan.true.items())
    # A damaged video can show a true frame, or an earlier candidate, in a candidate's place.
    candidates = _distinct(
        ((candidate.segment, video.frames[candidate.frame]) for candidate in plan.candidates),
        known={frame.source_index for _, frame in true},
    )
    segments = [segment for segment, _ in candidates]
    embeddings = [frame.embedding for _, frame in true]
    cosines = [max_cosine(frame.embedding, embeddings) for _, frame in candidates]
    chosen = select(
        segments, cosines, threshold=config.threshold, per_segment=config.frames_per_segment
    )
    chosen.sort(key=lambda k: candidates[k][1].source_index)
    rows = [
        _true_row(question, number, time, frame) for number, (time, frame) in enumerate(true)
    ] + [_negative_row(question, segments[k], candidates[k][1], cosines[k]) for k in chosen]
    frames = [frame for _, frame in true] + [candidates[k][1] for k in chosen]
    for row, frame in zip(rows, frames, strict=True):
        _write_png(out / row.path, video.image(frame))
    empty = sorted(set(range(config.segments)) - {segments[k] for k in chosen})
    item = MinedItem(question, tuple(rows), tuple(cosines), tuple(empty))
    draw_sheet(item, config, plan.length_s, out)
    return item


def _refuse_beyond_end(question: Question, end_s: float) -> None:
    latest = max(question.support_frames)
    if latest > end_s + TIME_TOLERANCE_S:
        raise ItemError(
            f"Item {question.id!r}: support frame at {latest:g} s, but {question.video_path} ends "
            f"at {end_s:g} s.",
            reason="beyond_end",
        )


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


def _true_row(question: Question, number: int, time: float, frame: SeenFrame) -> MinedFrame:
    return _row(question, TRUE, f"true{number:02d}", frame, requested_s=time)


def _negative_row(question: Question, segment: int, frame: SeenFrame, cosine: float) -> MinedFrame:
    place = f"neg_seg{segment:02d}"
    return _row(question, NEGATIVE, place, frame, segment=segment, max_cosine=cosine)


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


def _write_png(path: Path, image: NDArray[np.uint8]) -> None:
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")

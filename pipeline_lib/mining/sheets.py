"""The contact sheet of a mined item: what is right, what is wrong, and where both were found."""

from pathlib import Path

from pipeline_lib.config import MineConfig
from pipeline_lib.mining.report import NEGATIVE, TRUE, MinedItem
from pipeline_lib.pictures.contact_sheet import Tile, TileGroup, draw_contact_sheet

_GREEN = (22, 128, 60)
_RED = (200, 30, 30)


def draw_sheet(item: MinedItem, config: MineConfig, length_s: float, out: Path) -> None:
    """Write ``out / sheets / <id>.png`` from the frames that were saved below ``out``.

    Args:
        item: With its saved frames.
        config: Segments and threshold.
        length_s: Of the timeline that was cut into segments.
        out: The mined directory.
    """
    question = item.question
    true = [
        Tile(out / frame.path, frame.pts_s, f"frame {frame.source_index}")
        for frame in item.of_kind(TRUE)
    ]
    negatives = [
        Tile(
            out / frame.path, frame.pts_s, f"cosine {frame.max_cosine:.3f}, segment {frame.segment}"
        )
        for frame in item.of_kind(NEGATIVE)
    ]
    draw_contact_sheet(
        out / "sheets" / f"{question.id}.png",
        title=question.question,
        lines=question.choices,
        source=f"{question.id}  ·  {question.video_path}",
        groups=(
            TileGroup("TRUE frames, where the answer is seen", _GREEN, true),
            TileGroup(_negative_title(item, config), _RED, negatives),
        ),
        length_s=length_s,
        segments=config.segments,
    )


def _negative_title(item: MinedItem, config: MineConfig) -> str:
    title = f"NEGATIVE frames, cosine to every true frame below {config.threshold:g}"
    if not item.empty_segments:
        return title
    empty = ", ".join(map(str, item.empty_segments))
    return f"{title}; none passed in segment {empty}"

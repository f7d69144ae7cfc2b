"""Chosen frames as PNG files, and contact sheets of them."""

import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.config import MineConfig
from pipeline_lib.datasets.mined import NEGATIVE, TRUE
from pipeline_lib.mining.report import MinedItem
from pipeline_lib.mining.watching import WatchedVideo
from pipeline_lib.pictures.contact_sheet import Tile, TileGroup, draw_contact_sheet, thumbnail
from pipeline_lib.storage.atomic import write_bytes
from pipeline_lib.storage.png import encode_png

_GREEN = (22, 128, 60)
_RED = (200, 30, 30)
_STRATEGIES = {
    "random": "NEGATIVE frames, strategy random: the first drawn",
    "hard": "NEGATIVE frames, strategy hard: the most similar",
}


def save_items(
    items: Sequence[MinedItem],
    video: WatchedVideo,
    length_s: float,
    config: MineConfig,
    out: Path,
) -> None:
    """Write the pictures of all items of one video; a frame that several share is encoded once.

    Args:
        items: With the names of their frames.
        video: Their video.
        length_s: Of the timeline that was cut into segments.
        config: For the words on the sheets.
        out: Gets ``frames_true/<id>/``, ``frames_neg/<id>/`` and ``sheets/<id>.png``.

    Raises:
        VideoError: The video cannot be read any more.
    """
    places: defaultdict[int, list[str]] = defaultdict(list)
    for item in items:
        for frame in item.frames:
            places[frame.source_index].append(frame.path)
    small: dict[int, NDArray[np.uint8]] = {}
    for position, image in video.pictures(places.keys()):
        content = encode_png(image)
        for path in places[position]:
            write_bytes(out / path, content)
        small[position] = thumbnail(image)
    for item in items:
        _draw_sheet(item, small, config, length_s, out)


def discard_items(ids: Sequence[str], out: Path) -> None:
    """Remove what was written for items that failed in the end."""
    for name in ids:
        shutil.rmtree(out / "frames_true" / name, ignore_errors=True)
        shutil.rmtree(out / "frames_neg" / name, ignore_errors=True)
        (out / "sheets" / f"{name}.png").unlink(missing_ok=True)


def _draw_sheet(
    item: MinedItem,
    pictures: Mapping[int, NDArray[np.uint8]],
    config: MineConfig,
    length_s: float,
    out: Path,
) -> None:
    """Write ``out / sheets / <id>.png``.

    Args:
        item: With its frames.
        pictures: Each frame as large as a tile, by ``source_index``.
        config: Strategy, segments and threshold.
        length_s: Of the timeline that was cut into segments.
        out: The mined directory.
    """
    question = item.question
    true = [
        Tile(
            pictures[frame.source_index],
            frame.pts_s,
            f"asked for {frame.requested_s:.2f} s, frame {frame.source_index}",
        )
        for frame in item.of_kind(TRUE)
    ]
    negatives = [
        Tile(
            pictures[frame.source_index],
            frame.pts_s,
            f"cosine {frame.max_cosine:.3f}, segment {frame.segment}",
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
    title = f"{_STRATEGIES[config.strategy]} with a cosine below {config.threshold:g}"
    if not item.empty_segments:
        return title
    empty = ", ".join(map(str, item.empty_segments))
    return f"{title}; none passed in segment {empty}"

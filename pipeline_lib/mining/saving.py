"""Chosen frames as PNG files, and contact sheets of them."""

import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.config import MineConfig
from pipeline_lib.mining.report import MinedItem
from pipeline_lib.mining.sheets import draw_sheet
from pipeline_lib.mining.watching import WatchedVideo
from pipeline_lib.pictures.contact_sheet import thumbnail
from pipeline_lib.storage.atomic import write_bytes
from pipeline_lib.storage.png import encode_png


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
        draw_sheet(item, small, config, length_s, out)


def discard_items(ids: Sequence[str], out: Path) -> None:
    """Remove what was written for items that failed in the end."""
    for name in ids:
        shutil.rmtree(out / "frames_true" / name, ignore_errors=True)
        shutil.rmtree(out / "frames_neg" / name, ignore_errors=True)
        (out / "sheets" / f"{name}.png").unlink(missing_ok=True)

"""The questions of an evaluation: those of its splits whose answer can be seen at known moments."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from pipeline_lib.datasets.mined import EXCLUDED, FAILED, MINED, NO_SUPPORT_FRAMES
from pipeline_lib.datasets.question_captions import CaptionSetting, caption_of
from pipeline_lib.errors import DataError
from pipeline_lib.evaluation.pos_neg.choosers import SHUFFLED, STREAM
from pipeline_lib.paths import VIDEO_SUFFIXES
from pipeline_lib.runtime.seeding import numpy_stream
from pipeline_lib.video.files import file_named, files_below


@dataclass(frozen=True)
class Item:
    """A question whose answer can be seen at known moments.

    Attributes:
        id: Of the question file.
        split: ``train``, ``val`` or ``test``.
        video_path: As the question file has it.
        video: Content of the video: copies of one file are one.
        path: The video.
        caption: What the models are given.
        other_caption: That of another item, or ``None``.
        support_s: Moments at which the answer can be seen, ascending.
    """

    id: str
    split: str
    video_path: str
    video: str
    path: Path
    caption: str
    other_caption: str | None
    support_s: tuple[float, ...]


@dataclass(frozen=True)
class Questions:
    """What there is to measure in one split.

    Attributes:
        items: Sorted by id.
        without_true_frames: Items that name no moment, so that nothing can be found.
        excluded: Items of videos that are left out on purpose.
        unmined: Items of which mining already said that they cannot be used.
    """

    items: tuple[Item, ...]
    without_true_frames: int
    excluded: int
    unmined: int


def questions_of(
    table: pd.DataFrame, splits: "pd.Series[str]", split: str, videos: Path, caption: CaptionSetting
) -> Questions:
    """The items of one split, each with the caption of another one beside its own.

    Args:
        table: Items as mining left them.
        splits: The split of each.
        split: The one that is wanted.
        videos: Folder that ``video_path`` is relative to.
        caption: What is said of an item, as training had it.

    Raises:
        DataError: There is no such folder, an item has no caption, or its path leaves the folder.
    """
    of_split = table[splits == split].sort_values("id")
    counts = of_split["status"].value_counts()
    mined = of_split[of_split["status"] == MINED]
    if not videos.is_dir():
        raise DataError(f"No folder of videos {videos}.", hint="Correct data.root in params.yaml.")
    files = files_below(videos, VIDEO_SUFFIXES)
    items = [
        Item(
            id=row["id"],
            split=split,
            video_path=row["video_path"],
            video=row["video_sha256"],
            path=file_named(videos, files, row["video_path"]),
            caption=caption_of(row["id"], row["question"], row["choices"], caption),
            other_caption=None,
            support_s=tuple(float(time) for time in row["support_frames"]),
        )
        for row in mined.to_dict("records")
    ]
    return Questions(
        items=_with_others(items),
        without_true_frames=int(counts.get(NO_SUPPORT_FRAMES, 0)),
        excluded=int(counts.get(EXCLUDED, 0)),
        unmined=int(counts.get(FAILED, 0)),
    )


def exchanged_captions(captions: Mapping[str, str]) -> dict[str, str | None]:
    """For each item the caption of another one that is asked something else.

    Drawn from the other items, so that a caption comes as often as it is among them.

    Args:
        captions: Id to caption of the items of one split.

    Returns:
        Id to a caption that is not the item's own; ``None`` where there is no other.
    """
    ordered = sorted(captions.values())
    exchanged: dict[str, str | None] = {}
    for name, own in captions.items():
        # The items of one caption stand together; a draw among the others steps over them.
        start, end = bisect_left(ordered, own), bisect_right(ordered, own)
        others = len(ordered) - (end - start)
        if others:
            drawn = int(numpy_stream(STREAM, SHUFFLED, name).integers(others))
            exchanged[name] = ordered[drawn if drawn < start else drawn + end - start]
        else:
            exchanged[name] = None
    return exchanged


def _with_others(items: Sequence[Item]) -> tuple[Item, ...]:
    others = exchanged_captions({item.id: item.caption for item in items})
    return tuple(replace(item, other_caption=others[item.id]) for item in items)

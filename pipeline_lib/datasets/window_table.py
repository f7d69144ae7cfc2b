"""The table of windows: one row a window of every video, with its label or why it has none."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline_lib.annotations.names import match_name
from pipeline_lib.annotations.strict_normal import Event
from pipeline_lib.annotations.target_labels import REASONS, LabelRules, TargetLabels, target_labels
from pipeline_lib.annotations.windows import window_starts, window_stride
from pipeline_lib.config import WindowConfig
from pipeline_lib.datasets.layout import SPLITS, VideoId, check_classes, parse_id
from pipeline_lib.errors import DataError
from pipeline_lib.storage.features import Manifest, row_spacing

_LOG = logging.getLogger(__name__)
_LISTED = 5

EventsByVideo = Mapping[str, Sequence[Event]]


@dataclass(frozen=True)
class SplitVideos:
    """The videos of a manifest that belong to a split.

    Attributes:
        videos: Id to its parts, sorted by split, class and stem.
        classes: Classes of the training split, sorted; of the others where it has no video.
        normal: The one without events, or ``None`` where there is none.
    """

    videos: dict[str, VideoId]
    classes: tuple[str, ...]
    normal: str | None


def split_videos(manifest: Manifest, config: WindowConfig) -> SplitVideos:
    """The videos of a manifest by split and class; those outside a split are left out.

    Args:
        manifest: The videos.
        config: Names the normal class; letter case is ignored where that is unambiguous.

    Raises:
        DataError: There is no video of a split, or a class of val or test is not in train.
    """
    found = {video_id: parse_id(video_id) for video_id in manifest.videos}
    videos = {video_id: video for video_id, video in found.items() if video is not None}
    source = f"features of {manifest.backbone}"
    classes = check_classes(
        {s: {v.class_name for v in videos.values() if v.split == s} for s in SPLITS}, source
    )
    order = sorted(videos, key=lambda v: (videos[v].split, videos[v].class_name, videos[v].stem))
    normal = match_name(config.normal_class, classes)
    return SplitVideos({video_id: videos[video_id] for video_id in order}, classes, normal)


def unannotated_videos(dataset: SplitVideos, events: EventsByVideo) -> set[str]:
    """Videos of other classes than the normal one for which no event is known."""
    return {
        video_id
        for video_id, video in dataset.videos.items()
        if video.class_name != dataset.normal and not events.get(video_id)
    }


def _refuse_unannotated(videos: set[str]) -> None:
    if videos:
        more = f" and {len(videos) - _LISTED} more" if len(videos) > _LISTED else ""
        raise DataError(
            f"No annotated event in {', '.join(sorted(videos)[:_LISTED])}{more}.",
            hint="Add them to annotations/{class}_timestamp.csv, or set train.unannotated to keep "
            "or skip.",
        )


def events_in_rows(events: Sequence[Event], every_s: float, offset_s: float) -> tuple[Event, ...]:
    """Events counted in rows, so that windows compare as whole numbers.

    0.3 s is row 2.9999999999999996 at 0.1 s a row; rounding keeps a touching window outside.

    Args:
        events: (start, end) in seconds.
        every_s: Seconds from row to row.
        offset_s: Start of row 0; what is before it has a negative row.
    """
    return tuple(
        (round((start - offset_s) / every_s, 9), round((end - offset_s) / every_s, 9))
        for start, end in events
    )


def make_windows(manifest: Manifest, events: EventsByVideo, config: WindowConfig) -> pd.DataFrame:
    """Cut and label the windows of all videos.

    Overlap and the strict rule apply to the training split only. A training video shorter than
    one window has none; in the other splits it has one window of its own length, so that no
    video is missing from video-level scores.

    Args:
        manifest: The videos, and the rows of their features with their times.
        events: Video id to its events in seconds; those of the normal class are ignored.
        config: Windows and labels.

    Returns:
        One row a window, sorted by split, class, stem and start: ``video``, ``split``,
        ``class_name``, ``start_row``, ``n_rows``, ``start_s``, ``end_s``, ``overlaps_event``,
        ``label`` (class directory; empty where dropped), ``kept``, ``reason`` (empty where kept).
        Text columns are categories.

    Raises:
        DataError: There is no video of a split, a class is not in train, a video has no row, or a
            video without events is refused by ``unannotated: error``.
    """
    dataset = split_videos(manifest, config)
    if config.unannotated == "error":
        _refuse_unannotated(unannotated_videos(dataset, events))
    unit = config.unit_duration
    if config.overlap_ratio > 0 and window_stride(unit, config.overlap_ratio) == unit:
        _LOG.warning(
            "overlap_ratio %g has no effect: windows of %d row(s) still move by %d.",
            config.overlap_ratio, unit, unit,
        )  # fmt: skip
    every_s, offset_s, pieces = row_spacing(manifest), manifest.offset_s, []
    for video_id, video in dataset.videos.items():
        rows = manifest.videos[video_id].rows
        starts, length = _cut(video_id, video.split, rows, config)
        in_rows = events_in_rows(events.get(video_id, ()), every_s, offset_s)
        rules = _rules(dataset, config, video.split)
        labels = target_labels(starts, length, in_rows, video.class_name, rules)
        pieces.append((starts, length, labels))
    return _table(dataset, pieces, every_s, offset_s)


def count_windows(
    windows: pd.DataFrame, manifest: Manifest, events: EventsByVideo, config: WindowConfig
) -> dict[str, Any]:
    """Counts for people and for `dvc metrics`, under the settings that made them.

    Args:
        windows: The table of :func:`make_windows`.
        manifest: The videos it was made of.
        events: The events it was made of.
        config: The settings it was made with.

    Returns:
        ``settings`` and, for each split: ``videos``, ``short_videos`` (less than one window),
        ``unannotated_videos``, ``events``, ``windows``, ``kept``, ``dropped`` by reason and
        ``kept_per_label``.
    """
    dataset = split_videos(manifest, config)
    unannotated = unannotated_videos(dataset, events)
    counts: dict[str, Any] = {
        "settings": {
            "unit_duration": config.unit_duration,
            "overlap_ratio": config.overlap_ratio,
            "strict_normal_sampling": config.strict_normal_sampling,
            "normal_class": dataset.normal,
            "pre_event": config.pre_event,
            "unannotated": config.unannotated,
        },
    }
    for split in SPLITS:
        rows = windows[windows["split"] == split]
        ids = [video_id for video_id, video in dataset.videos.items() if video.split == split]
        reasons = rows["reason"].value_counts()
        labels = rows["label"].value_counts()
        counts[split] = {
            "videos": len(ids),
            "short_videos": sum(manifest.videos[v].rows < config.unit_duration for v in ids),
            "unannotated_videos": len(unannotated.intersection(ids)),
            "events": sum(len(events.get(v, ())) for v in ids),
            "windows": len(rows),
            "kept": int(rows["kept"].sum()),
            "dropped": {reason: int(reasons.get(reason, 0)) for reason in REASONS},
            "kept_per_label": {name: int(labels.get(name, 0)) for name in dataset.classes},
        }
    return counts


def _cut(video_id: str, split: str, rows: int, config: WindowConfig) -> tuple[np.ndarray, int]:
    """Window starts of one video, and the rows of each window."""
    if rows < 1:
        raise DataError(f"{video_id} has no feature row.", hint="Extract it again.")
    unit = config.unit_duration
    if split == "train":
        return window_starts(rows, unit, config.overlap_ratio), unit
    length = min(unit, rows)
    return window_starts(rows, length, 0.0), length


def _rules(dataset: SplitVideos, config: WindowConfig, split: str) -> LabelRules:
    return LabelRules(
        normal=dataset.normal,
        pre_event=config.pre_event,
        skip_unannotated=config.unannotated == "skip",
        strict=config.strict_normal_sampling and split == "train",
    )


def _table(
    dataset: SplitVideos,
    pieces: Sequence[tuple[np.ndarray, int, TargetLabels]],
    every_s: float,
    offset_s: float,
) -> pd.DataFrame:
    videos = dataset.videos.values()
    counts = [len(starts) for starts, _, _ in pieces]
    start_row = np.concatenate([starts for starts, _, _ in pieces])
    n_rows = np.repeat(np.array([length for _, length, _ in pieces], np.int64), counts)
    labels = [found for _, _, found in pieces]
    columns = {
        "video": _categories(list(dataset.videos), np.arange(len(videos)), counts),
        "split": _categories(SPLITS, [SPLITS.index(v.split) for v in videos], counts),
        "class_name": _categories(
            dataset.classes, [dataset.classes.index(v.class_name) for v in videos], counts
        ),
        "start_row": start_row,
        "n_rows": n_rows,
        "start_s": offset_s + start_row * every_s,
        "end_s": offset_s + (start_row + n_rows) * every_s,
        "overlaps_event": np.concatenate([found.overlaps_event for found in labels]),
        "label": _text_categories(dataset.classes, [found.label for found in labels]),
        "kept": np.concatenate([found.kept for found in labels]),
        "reason": _text_categories(REASONS, [found.reason for found in labels]),
    }
    return pd.DataFrame(columns)


def _categories(
    names: Sequence[str], of_video: Sequence[int] | np.ndarray, counts: Sequence[int]
) -> "pd.Categorical[str]":
    """A text column that has one value for all windows of a video."""
    return pd.Categorical.from_codes(np.repeat(of_video, counts), pd.Index(names))


def _text_categories(
    names: Iterable[str], of_window: Sequence[np.ndarray]
) -> "pd.Categorical[str]":
    """A text column from the arrays of every video; a text is one of ``names`` or empty."""
    categories = sorted({"", *names})
    codes = [np.searchsorted(categories, text) for text in of_window]
    return pd.Categorical.from_codes(np.concatenate(codes), pd.Index(categories))

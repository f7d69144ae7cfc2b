"""The stage annotate-filter: label the windows of every video and choose those that train."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline_lib.annotations.folder import EventTable, read_event_tables, table_paths
from pipeline_lib.annotations.matching import MatchedEvents, match_events
from pipeline_lib.annotations.target_labels import REASONS
from pipeline_lib.config import Params, WindowConfig
from pipeline_lib.datasets.index_tables import event_table
from pipeline_lib.datasets.layout import spread_over_classes
from pipeline_lib.datasets.window_table import (
    EventsByVideo,
    SplitVideos,
    count_windows,
    make_windows,
    split_videos,
    unannotated_videos,
)
from pipeline_lib.errors import DataError, did_you_mean
from pipeline_lib.pictures.timeline import Timeline, TimelineSheet, picture_name
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.atomic import write_json
from pipeline_lib.storage.directories import replacing_directory
from pipeline_lib.storage.features import Manifest, read_manifest, row_spacing
from pipeline_lib.storage.tables import write_parquet

_LOG = logging.getLogger(__name__)
_LISTED = 5


@dataclass(frozen=True)
class Places:
    """Where the stage writes."""

    table: Path = Path("data/index/windows.parquet")
    events: Path = Path("data/index/events.parquet")
    metrics: Path = Path("metrics/windows.json")
    timelines: Path = Path("metrics/plots/timelines")


def write_windows(
    params: Params,
    features: Path = Path("data/features"),
    places: Places | None = None,
    progress: Progress = SILENT,
) -> str:
    """Make the windows table, the events table, the counts and timelines of the videos.

    Args:
        params: Windows are cut over the features of ``train.backbone`` and labelled from
            ``<data.root>/annotations``; ``evaluate.timelines`` videos are drawn.
        features: Folder of the feature directories.
        places: What to write; the pipeline's own places without it.
        progress: Told of each timeline.

    Returns:
        What was written, for people.

    Raises:
        DataError: Features or annotations are missing or bad, or no window of the training videos
            is kept.
    """
    places = places or Places()
    config = params.train
    manifest = read_manifest(features / config.backbone)
    dataset = split_videos(manifest, config)
    matched = _read_events(Path(params.data.root) / "annotations", manifest, dataset, config)
    windows = make_windows(manifest, matched.events, config)
    counts = {
        "unmatched_rows": matched.unmatched_rows,
        **count_windows(windows, manifest, matched.events, config),
    }
    _require_training_windows(counts["train"], config)
    write_parquet(places.table, windows)
    write_parquet(places.events, event_table(matched.events))
    write_json(places.metrics, counts)
    drawn = spread_over_classes(dataset.videos, params.evaluate.timelines)
    if len(drawn) < len(dataset.videos):
        _LOG.info(
            "%d of %d videos are drawn (evaluate.timelines).", len(drawn), len(dataset.videos)
        )
    sheet = TimelineSheet(dataset.normal, REASONS)
    _write_timelines(places.timelines, sheet, _timelines(drawn, windows, manifest, matched.events),
                     len(drawn), progress)  # fmt: skip
    kept = int(windows["kept"].sum())
    return (
        f"wrote {places.table}: {len(windows)} windows of {len(dataset.videos)} videos, "
        f"{kept} kept\nwrote {places.events}\nwrote {places.metrics}\n"
        f"wrote {places.timelines}: {len(drawn)} timelines"
    )


def _read_events(
    folder: Path, manifest: Manifest, dataset: SplitVideos, config: WindowConfig
) -> MatchedEvents:
    """The annotated events of the videos, with all that does not fit logged."""
    tables = _read_tables(folder, dataset, config)
    every_s = row_spacing(manifest)
    ends = {v: manifest.offset_s + manifest.videos[v].rows * every_s for v in dataset.videos}
    matched = match_events(tables, ends)
    _warn_early(matched, manifest.offset_s)
    outside = len(manifest.videos) - len(dataset.videos)
    if outside:
        _LOG.warning("%d videos lie outside {train,val,test}/{class}/ and get no window.", outside)
    if dataset.normal is None and matched.events and config.pre_event == "normal":
        _LOG.warning(
            "normal_class %r is no class: event-free windows of videos with events are dropped. %s",
            config.normal_class,
            did_you_mean(config.normal_class, dataset.classes),
        )
    _warn_unannotated(unannotated_videos(dataset, matched.events), config)
    return matched


def _warn_early(matched: MatchedEvents, offset_s: float) -> None:
    early = [video for video, events in matched.events.items() if events[0][1] <= offset_s]
    if early:
        _LOG.warning(
            "%d videos have an event that ends before their first row starts, at %g s; no window "
            "shows it. First: %s.",
            len(early), offset_s, early[0],
        )  # fmt: skip


def _warn_unannotated(videos: set[str], config: WindowConfig) -> None:
    if videos and config.unannotated != "error":
        skipped = config.unannotated == "skip"
        _LOG.warning(
            "%d videos have no annotated event; %s (train.unannotated: %s). First: %s.",
            len(videos),
            "they are left out" if skipped else "all their windows carry their class",
            config.unannotated,
            ", ".join(sorted(videos)[:_LISTED]),
        )


def _read_tables(folder: Path, dataset: SplitVideos, config: WindowConfig) -> dict[str, EventTable]:
    """Tables of the classes with events; may be none where nothing relies on annotations."""
    has_event_class = any(name != dataset.normal for name in dataset.classes)
    if not table_paths(folder) and not (has_event_class and config.strict_normal_sampling):
        _LOG.warning("%s holds no annotations: every window is of its video's class.", folder)
        return {}
    tables = read_event_tables(folder, dataset.classes)
    ignored = tables.pop(dataset.normal, None) if dataset.normal else None
    if ignored and ignored.rows:
        _LOG.warning(
            "%s is ignored: videos of the normal class %r have no events.",
            ignored.path, dataset.normal,
        )  # fmt: skip
    return tables


def _require_training_windows(train: Mapping[str, Any], config: WindowConfig) -> None:
    if train["videos"] and not train["kept"]:
        dropped = ", ".join(f"{n} {reason}" for reason, n in train["dropped"].items() if n)
        raise DataError(
            f"No training window is kept: {train['windows']} windows of {train['videos']} videos, "
            f"{train['short_videos']} of them shorter than one window; "
            f"dropped: {dropped or 'none'}.",
            hint=f"Windows have train.unit_duration = {config.unit_duration} rows; see also "
            "train.strict_normal_sampling, train.pre_event and train.unannotated.",
        )


def _timelines(
    drawn: Sequence[str], windows: pd.DataFrame, manifest: Manifest, events: EventsByVideo
) -> Iterator[Timeline]:
    """What the pictures of the videos ``drawn`` show."""
    rows_of = windows.groupby("video", sort=False, observed=True).indices
    no_rows = np.array([], dtype=np.int64)
    columns = {name: windows[name].to_numpy() for name in ("start_s", "end_s", "label", "reason")}
    for video_id in drawn:
        at = rows_of.get(video_id, no_rows)
        yield Timeline(
            title=video_id,
            seconds=manifest.videos[video_id].duration_s,
            events=events.get(video_id, ()),
            starts=columns["start_s"][at],
            ends=columns["end_s"][at],
            labels=columns["label"][at],
            reasons=columns["reason"][at],
        )


def _write_timelines(
    folder: Path,
    sheet: TimelineSheet,
    timelines: Iterable[Timeline],
    count: int,
    progress: Progress,
) -> None:
    with (
        replacing_directory(folder) as made,
        progress.task("draw timelines", count) as advance,
    ):
        for timeline in timelines:
            sheet.draw(made / picture_name(timeline.title), timeline)
            advance()

"""Rough numbers of a data set before anything is extracted: videos, hours, events, windows."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline_lib.annotations.strict_normal import merge_events
from pipeline_lib.config import Params
from pipeline_lib.datasets.layout import SPLITS
from pipeline_lib.datasets.window_table import count_windows, make_windows
from pipeline_lib.errors import DataError
from pipeline_lib.own_data.tables import Entry
from pipeline_lib.storage.features import Manifest, VideoEntry

_COUNTED = ("events", "windows", "kept")


def rough_numbers(
    lengths: Mapping[str, float],
    rows: Mapping[str, Sequence[Entry]],
    params: Params,
    normal: str | None,
) -> dict[str, Any]:
    """Count what the pipeline would cut out of these videos, by its own rules.

    Args:
        lengths: Video id to seconds.
        rows: Video id to its annotated events.
        params: Windows are cut by ``train``, rows by ``extract.every_s``.
        normal: The class without events.

    Returns:
        ``videos``, ``hours``, and for each split ``videos``, ``hours``, ``classes`` (name to
        videos), ``events``, ``windows`` and ``kept``; ``None`` for the last three where the
        classes of the splits do not fit.
    """
    splits: dict[str, Any] = {}
    for split in SPLITS:
        own = {video: s for video, s in lengths.items() if video.startswith(f"{split}/")}
        names = [video.split("/")[1] for video in own]
        splits[split] = {
            "videos": len(own),
            "hours": round(sum(own.values()) / 3600, 3),
            "classes": {name: names.count(name) for name in sorted(set(names))},
            **dict.fromkeys(_COUNTED),
        }
    for split, counted in _windows(lengths, rows, params, normal).items():
        splits[split] |= counted
    total = round(sum(lengths.values()) / 3600, 3)
    return {"videos": len(lengths), "hours": total, **splits}


def _windows(
    lengths: Mapping[str, float],
    rows: Mapping[str, Sequence[Entry]],
    params: Params,
    normal: str | None,
) -> dict[str, dict[str, int]]:
    every_s = params.extract.every_s
    videos = {
        video: VideoEntry("", max(1, math.ceil(seconds / every_s - 1e-6)), 0, seconds, 0)
        for video, seconds in lengths.items()
    }
    manifest = Manifest("clip", "", "", "", True, 0, every_s, videos)
    events = {
        video: merge_events([(start, min(end, lengths[video])) for start, end in _times(entries)])
        for video, entries in rows.items()
        if video.split("/")[1] != normal
    }
    config = params.train.coop
    try:
        counts = count_windows(make_windows(manifest, events, config), manifest, events, config)
    except DataError:  # told as a finding already
        return {}
    return {split: {name: counts[split][name] for name in _COUNTED} for split in SPLITS}


def _times(entries: Sequence[Entry]) -> list[tuple[float, float]]:
    return [entry.times for entry in entries]


def number_lines(numbers: Mapping[str, Any]) -> list[str]:
    """The numbers as a table in plain text."""
    lines = [f"{'split':6} {'videos':>6} {'hours':>8} {'events':>7} {'windows':>8} {'kept':>8}"]
    for split in SPLITS:
        counts = numbers[split]
        cells = ["?" if counts[name] is None else str(counts[name]) for name in _COUNTED]
        line = (
            f"{split:6} {counts['videos']:>6} {counts['hours']:>8.2f} "
            f"{cells[0]:>7} {cells[1]:>8} {cells[2]:>8}   "
            + ", ".join(f"{name} {n}" for name, n in counts["classes"].items())
        )
        lines.append(line.rstrip())
    return lines

"""From scores of windows to a score for each second of a video, against what is annotated.

A second stands for one feature row: row k covers the every_s seconds from offset_s + k * every_s
on, which is second k where features are extracted once a second. Rows that end before their video
starts are no seconds of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline_lib.datasets.window_table import events_in_rows
from pipeline_lib.errors import DataError
from pipeline_lib.evaluation.coop.labelled_windows import LabelledWindows

_CHUNK = 65536


@dataclass(frozen=True)
class Seconds:
    """The seconds of one split that can be measured: s of them.

    A second is measured where its truth is known and a window covers it. The truth is known in
    normal videos and in videos with an annotated event; in any other video nobody said where its
    event is.

    Attributes:
        windows: The windows they are scored by.
        video: Index of each second's video, int64 [s].
        row: Feature row of each second, int64 [s].
        positive: Whether it overlaps an annotated event; touching is no overlap. Boolean [s].
        covering: How many windows cover it, int64 [s].
        uncovered: Rows of known truth that no window covers, as after the last whole window.
        unknown_videos: Videos of other classes than the normal one without annotated event.
    """

    windows: LabelledWindows
    video: np.ndarray
    row: np.ndarray
    positive: np.ndarray
    covering: np.ndarray
    uncovered: int
    unknown_videos: int

    @property
    def start_s(self) -> np.ndarray:
        """Start of each second, float64 [s]; below 0 where the video starts within it."""
        return np.round(self.windows.offset_s + self.row * self.windows.every_s, 9)

    @property
    def of_event_videos(self) -> np.ndarray:
        """Seconds of videos with a positive second, boolean [s]."""
        has_event = np.zeros(len(self.windows.videos), dtype=bool)
        has_event[self.video[self.positive]] = True
        return np.asarray(has_event[self.video])

    def scores(self, of_windows: np.ndarray) -> np.ndarray:
        """The score of each second: that of the window covering it, their mean if several do.

        Args:
            of_windows: Score of each window, float64 [n].

        Returns:
            float64 [s].
        """
        if not len(self.row):
            return np.zeros(0)
        offsets, size = _offsets(self.windows)
        # Sums of differences: a constant score stays constant to the last bit, whatever the
        # number of windows.
        centre = float(of_windows[0])
        total = np.zeros(size)
        for at, window in _covered_rows(self.windows, offsets):
            np.add.at(total, at, of_windows[window] - centre)
        return np.asarray(centre + total[offsets[self.video] + self.row] / self.covering)


def split_seconds(windows: LabelledWindows) -> Seconds:
    """The measurable seconds of a split.

    Args:
        windows: Its windows.

    Raises:
        DataError: A window reaches beyond its video's rows.
    """
    _require_fit(windows)
    offsets, size = _offsets(windows)
    positive = _overlaps_event(windows, offsets, size)
    video = np.repeat(np.arange(len(windows.videos)), windows.video_rows)
    row = np.arange(size) - offsets[video]
    annotated = np.array([bool(windows.events.get(name)) for name in windows.videos], dtype=bool)
    normal = -1 if windows.normal is None else windows.normal
    truth_known = annotated | (windows.video_labels == normal)
    covering = np.zeros(size, dtype=np.int64)
    for at, _ in _covered_rows(windows, offsets):
        np.add.at(covering, at, 1)
    known = truth_known[video] & (row >= _first_row(windows))
    measured = np.flatnonzero(known & (covering > 0))
    rows_lost, videos_unknown = _without_windows(windows)
    return Seconds(
        windows=windows,
        video=video[measured],
        row=row[measured],
        positive=positive[measured],
        covering=covering[measured],
        uncovered=int((known & (covering == 0)).sum()) + rows_lost,
        unknown_videos=int((~truth_known).sum()) + videos_unknown,
    )


def _without_windows(windows: LabelledWindows) -> tuple[int, int]:
    """Seconds of known truth in videos without windows, and how many of them are unknown."""
    if windows.normal is None:
        return 0, 0
    table, normal = windows.without_windows, windows.class_names[windows.normal]
    known = (table["class_name"] == normal) | table["video"].isin(list(windows.events))
    rows = (table.loc[known, "rows"] - _first_row(windows)).clip(lower=0)
    return int(rows.sum()), int((~known).sum())


def _first_row(windows: LabelledWindows) -> int:
    """The first row that does not end before its video starts."""
    return max(0, int(np.floor(round(-windows.offset_s / windows.every_s, 9))))


def _require_fit(windows: LabelledWindows) -> None:
    ends = (windows.table["start_row"] + windows.table["n_rows"]).to_numpy(dtype=np.int64)
    beyond = np.flatnonzero(ends > windows.video_rows[windows.video_of_window])
    if beyond.size:
        video = windows.videos[windows.video_of_window[beyond[0]]]
        raise DataError(
            f"{video}: a window ends at row {ends[beyond[0]]}, beyond the video's last.",
            hint="Pack the windows again: `dvc repro pack-windows`.",
        )


def _offsets(windows: LabelledWindows) -> tuple[np.ndarray, int]:
    """Where each video's rows begin when all rows of the split stand in one line; their number."""
    ends = np.cumsum(windows.video_rows)
    return ends - windows.video_rows, int(ends[-1]) if len(ends) else 0


def _overlaps_event(windows: LabelledWindows, offsets: np.ndarray, size: int) -> np.ndarray:
    overlaps = np.zeros(size, dtype=bool)
    for video, first, rows in zip(windows.videos, offsets, windows.video_rows, strict=True):
        events = windows.events.get(video, ())
        for start, end in events_in_rows(events, windows.every_s, windows.offset_s):
            begin, stop = np.clip([np.floor(start), np.ceil(end)], 0, rows).astype(np.int64)
            overlaps[first + begin : first + stop] = True
    return overlaps


def _covered_rows(
    windows: LabelledWindows, offsets: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of row and window, some windows at a time so that memory stays small."""
    first = offsets[windows.video_of_window] + windows.table["start_row"].to_numpy(dtype=np.int64)
    lengths = windows.table["n_rows"].to_numpy(dtype=np.int64)
    for start in range(0, len(first), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        window = np.repeat(np.arange(start, start + len(first[chunk])), lengths[chunk])
        ends = np.cumsum(lengths[chunk])
        within = np.arange(len(window)) - np.repeat(ends - lengths[chunk], lengths[chunk])
        yield first[window] + within, window

"""Which windows of a video overlap its events, and which event-free ones may train."""

from collections.abc import Iterable

import numpy as np

from pipeline_lib.errors import DataError

Event = tuple[float, float]

AFTER_FIRST_EVENT = "after_first_event"


def merge_events(events: Iterable[Event]) -> tuple[Event, ...]:
    """Sorted events, those that overlap or touch joined into one.

    Args:
        events: (start, end) pairs in any order.

    Raises:
        DataError: An event does not end after its start.
    """
    merged: list[Event] = []
    for start, end in sorted((float(start), float(end)) for start, end in events):
        if not start < end:
            raise DataError(f"Event ({start:g}, {end:g}) does not end after its start.")
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return tuple(merged)


def label_windows(
    starts: np.ndarray,
    unit: float,
    events: Iterable[Event],
    *,
    is_normal_class: bool,
    strict: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Label the windows of one video and apply strict normal sampling.

    A window [start, start + unit) overlaps an event when it starts before the event's end and
    ends after its start; touching is no overlap. Under the strict rule an event-free window is
    kept only if it ends before, or as, the first event starts: what happens between and after
    events is rarely free of their traces. A video of the normal class keeps all its windows and
    its events are ignored; without events all windows are kept.

    Args:
        starts: Window starts, [n], in the unit of ``events`` (rows of one second are seconds).
        unit: Length of a window.
        events: (start, end) pairs in any order.
        is_normal_class: The video is of the class without events.
        strict: Apply the strict rule.

    Returns:
        ``labels`` int64 [n], 1 where the window overlaps an event; ``kept`` boolean [n];
        ``reason`` strings [n], empty where kept.

    Raises:
        DataError: An event does not end after its start.
    """
    begins = np.asarray(starts)
    merged = () if is_normal_class else merge_events(events)
    if not merged:
        count = len(begins)
        return np.zeros(count, np.int64), np.ones(count, bool), np.full(count, "")
    event_starts, event_ends = np.array(merged).T
    ends = begins + unit
    # Merged events are disjoint and sorted: the first that ends after a window's start is the
    # only one that has to be asked whether it starts before the window's end.
    following = np.searchsorted(event_ends, begins, side="right")
    overlaps = np.append(event_starts, np.inf)[following] < ends
    kept = overlaps | (ends <= event_starts[0]) if strict else np.ones(len(begins), bool)
    return overlaps.astype(np.int64), kept, np.where(kept, "", AFTER_FIRST_EVENT)

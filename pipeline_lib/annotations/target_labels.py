"""The class name a window is trained and measured on."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline_lib.annotations.strict_normal import AFTER_FIRST_EVENT, Event, label_windows

EVENT_FREE = "event_free"
NO_NORMAL_CLASS = "no_normal_class"
UNANNOTATED = "unannotated"

# Every reason a window can be dropped for, in the order tables and legends show them.
REASONS = {
    AFTER_FIRST_EVENT: "after the first event began",
    EVENT_FREE: "event-free",
    NO_NORMAL_CLASS: "event-free, no normal class",
    UNANNOTATED: "video not annotated",
}


@dataclass(frozen=True)
class LabelRules:
    """How the windows of a video get their label.

    Attributes:
        normal: The normal class directory, or ``None`` where there is none.
        pre_event: Label of kept event-free windows of a video with events.
        skip_unannotated: Drop the windows of a video of another class that has no events;
            otherwise they all carry its class.
        strict: Apply strict normal sampling.
    """

    normal: str | None
    pre_event: Literal["normal", "class", "drop"]
    skip_unannotated: bool
    strict: bool


@dataclass(frozen=True)
class TargetLabels:
    """Labels of the n windows of one video.

    Attributes:
        overlaps_event: Boolean [n].
        label: Class directory, empty where dropped; strings [n].
        kept: Boolean [n].
        reason: Why dropped, empty where kept; strings [n].
    """

    overlaps_event: np.ndarray
    label: np.ndarray
    kept: np.ndarray
    reason: np.ndarray


def target_labels(
    starts: np.ndarray, unit: float, events: tuple[Event, ...], class_name: str, rules: LabelRules
) -> TargetLabels:
    """Label the windows of one video.

    Args:
        starts: Window starts, [n], in the unit of ``events``.
        unit: Length of a window.
        events: Events of the video; ignored for the normal class.
        class_name: The video's class directory.
        rules: What becomes of windows outside events.
    """
    overlaps, kept, reason = label_windows(
        starts,
        unit,
        events,
        is_normal_class=class_name == rules.normal,
        strict=rules.strict,
    )
    inside = overlaps.astype(bool)
    event_free = kept & ~inside
    label_outside, dropped = _outside_events(class_name, bool(events), rules)
    if dropped:
        kept = kept & ~event_free
        reason = np.where(event_free, dropped, reason)
    label = np.where(event_free, label_outside, class_name)
    return TargetLabels(inside, np.where(kept, label, ""), kept, reason)


def _outside_events(class_name: str, has_events: bool, rules: LabelRules) -> tuple[str, str]:
    """Label of a video's event-free windows, and the reason they are dropped; one is empty."""
    if class_name == rules.normal:
        return class_name, ""
    if not has_events:
        return ("", UNANNOTATED) if rules.skip_unannotated else (class_name, "")
    if rules.pre_event == "class":
        return class_name, ""
    if rules.pre_event == "drop":
        return "", EVENT_FREE
    return ("", NO_NORMAL_CLASS) if rules.normal is None else (rules.normal, "")

"""One picture a video: its annotated events over the windows that were kept and dropped."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.patches import Patch

from pipeline_lib.pictures.figures import (
    CLASS_COLOUR,
    EVENT_COLOUR,
    FAINT,
    NORMAL_COLOUR,
    new_figure,
    plain_texts,
    save_png,
)
from pipeline_lib.pictures.fonts import font_families
from pipeline_lib.pictures.time_bars import rectangles, runs, time_ticks, time_words

_INCHES = (10.0, 2.7)
_DPI = 100
_DROPPED = "#c8c8c8"
_HATCHES = ("///", "xxx", "...", "\\\\\\")
_ROWS = ("dropped", "kept", "events")
_HEIGHT = 0.72
# From this many lanes on a lane is too thin for white edges.
_CROWDED_LANES = 4
# Windows narrower than this many pixels are drawn without edges, which would hide their colour.
_EDGE_PIXELS = 4.0
# Longer legends than this many characters take two columns instead of one line.
_LEGEND_LINE = 120
_UNSAFE = re.compile(r"[^\w.,+()/-]")
# File systems allow 255 bytes.
_LONGEST_NAME = 180


@dataclass(frozen=True)
class Timeline:
    """What one picture shows; times in seconds.

    Attributes:
        title: Line above the picture.
        seconds: Length of the video.
        events: (start, end) of each annotated event.
        starts: Window starts, float [n], ascending.
        ends: Window ends, float [n].
        labels: Class name of each window, strings [n]; empty where dropped.
        reasons: Why a window is dropped, strings [n]; empty where kept.
    """

    title: str
    seconds: float
    events: Sequence[tuple[float, float]]
    starts: np.ndarray
    ends: np.ndarray
    labels: np.ndarray
    reasons: np.ndarray


@dataclass(frozen=True)
class _Style:
    face: str
    edge: str
    hatch: str | None = None

    @property
    def joins(self) -> bool:
        """Whether touching windows become one bar."""
        return self.edge == "none" or self.hatch is not None

    def patch(self, label: str) -> Patch:
        """The legend's entry."""
        edge = self.edge if self.hatch else "none"
        return Patch(facecolor=self.face, edgecolor=edge, hatch=self.hatch, label=label)


def picture_name(video_id: str) -> str:
    """File name of a video's timeline: ``{split}__{class}__{stem}.png``.

    Letters of any script stay. Where something had to be replaced or shortened, or the parts
    could be cut in another place, a hash of the id keeps two videos from sharing a name.
    """
    plain = _UNSAFE.sub("_", video_id).replace("/", "__")
    short = plain.encode()[:_LONGEST_NAME].decode(errors="ignore")
    if short.split("__") != video_id.split("/"):
        short += "-" + hashlib.sha256(video_id.encode()).hexdigest()[:8]
    return f"{short}.png"


class TimelineSheet:
    """Draws many timelines on one figure, which is far faster than a figure each.

    Args:
        normal_label: Label drawn in the colour of normality, or ``None`` where there is none.
        reasons: Reason for dropping to the words of the legend, in the legend's order.
    """

    def __init__(self, normal_label: str | None, reasons: Mapping[str, str]) -> None:
        self._normal_label = normal_label
        self._reasons = reasons
        self._figure = new_figure(*_INCHES, dpi=_DPI)

    def draw(self, path: Path, timeline: Timeline) -> None:
        """Write one picture; the same timeline gives the same bytes.

        Args:
            path: The PNG to write.
            timeline: What it shows.
        """
        self._figure.clear()
        with plain_texts():
            self._draw(timeline)
        save_png(self._figure, path)

    def _draw(self, timeline: Timeline) -> None:
        axes = self._figure.add_axes((0.075, 0.385, 0.905, 0.49))
        last = max([timeline.seconds, *timeline.ends.tolist()[-1:]])
        _frame(axes, last)
        entries = [*_draw_events(axes, timeline, last), *self._draw_windows(axes, timeline, last)]
        words = [str(entry.get_label()) for entry in entries]
        letters = sum(map(len, words)) + 6 * (len(words) - 1)
        fonts = font_families([timeline.title, *words])
        if not len(timeline.starts):
            said = "shorter than one window"
            axes.text(last / 2, 0.5, said, ha="center", va="center", color="#606060")
        axes.set_title(timeline.title, loc="left", fontsize=11, family=fonts)
        if entries:
            self._figure.legend(
                handles=entries,
                loc="upper left",
                bbox_to_anchor=(0.068, 0.2),
                ncols=len(entries) if letters <= _LEGEND_LINE else 2,
                frameon=False,
                prop={"family": fonts, "size": 9},
                handlelength=1.6,
                columnspacing=1.6,
            )

    def _draw_windows(self, axes: Axes, timeline: Timeline, last: float) -> Iterator[Patch]:
        """Bars of all windows, and the legend entry of each kind of window that occurs."""
        lanes = _lanes(timeline.starts, timeline.ends)
        shortest = float((timeline.ends - timeline.starts).min(initial=np.inf))
        pixels = shortest / last * _INCHES[0] * _DPI
        crowded = pixels < _EDGE_PIXELS or lanes.max(initial=0) >= _CROWDED_LANES
        edge = "none" if crowded else "white"
        for label in sorted(set(timeline.labels.tolist()) - {""}):
            chosen = timeline.labels == label
            style = _Style(NORMAL_COLOUR if label == self._normal_label else CLASS_COLOUR, edge)
            _bars(axes, timeline, chosen, lanes, "kept", style)
            yield style.patch(f"kept as {label} ({chosen.sum()})")
        for (reason, words), hatch in zip(self._reasons.items(), _HATCHES, strict=False):
            chosen = timeline.reasons == reason
            if chosen.any():
                style = _Style(_DROPPED, "#808080", hatch)
                _bars(axes, timeline, chosen, lanes, "dropped", style)
                yield style.patch(f"dropped: {words} ({chosen.sum()})")


def _frame(axes: Axes, last: float) -> None:
    axes.set_xlim(0, last)
    axes.set_ylim(-0.5, len(_ROWS) - 0.5)
    axes.set_yticks(range(len(_ROWS)), _ROWS)
    axes.tick_params(axis="y", length=0)
    places, words, unit = time_ticks(last)
    axes.set_xticks(places, words)
    axes.set_xlabel(unit, fontsize=9)
    axes.grid(axis="x", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _draw_events(axes: Axes, timeline: Timeline, last: float) -> Iterator[Patch]:
    """Bars with their times, and a band behind the windows that shows what they overlap."""
    row = _ROWS.index("events")
    for start, end in timeline.events:
        axes.axvspan(start, end, facecolor=EVENT_COLOUR, alpha=0.1, linewidth=0)
        axes.broken_barh(
            [(start, end - start)], (row - _HEIGHT / 2, _HEIGHT), facecolor=EVENT_COLOUR
        )
        said = f"{time_words(start, last)} – {time_words(end, last)}"
        if (end - start) / last * _INCHES[0] * _DPI > 8 * len(said):
            middle = (start + end) / 2
            axes.text(middle, row, said, ha="center", va="center", color="white", fontsize=9)
    if timeline.events:
        yield Patch(facecolor=EVENT_COLOUR, label=f"annotated event ({len(timeline.events)})")


def _lanes(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Lane of each window, [n], such that windows of one lane do not overlap."""
    if len(starts) < 2:
        return np.zeros(len(starts), np.int64)
    stride = float(np.diff(starts).min())
    count = int(np.ceil(float((ends - starts).max()) / stride - 1e-9))
    return np.arange(len(starts)) % max(count, 1)


def _bars(
    axes: Axes,
    timeline: Timeline,
    chosen: np.ndarray,
    lanes: np.ndarray,
    row: str,
    style: _Style,
) -> None:
    """Draw the chosen windows in a row of the picture, each in its lane."""
    count = int(lanes.max(initial=0)) + 1
    height = _HEIGHT / count
    top = _ROWS.index(row) + _HEIGHT / 2
    corners: list[np.ndarray] = []
    for lane in range(count):
        of_lane = chosen & (lanes == lane)
        left, right = timeline.starts[of_lane], timeline.ends[of_lane]
        if style.joins:
            left, right = runs(left, right)
        high = top - lane * height
        corners.extend(rectangles(left, right, high - height, high))
    bars = PolyCollection(
        corners,
        facecolor=style.face,
        edgecolor=style.edge,
        hatch=style.hatch,
        linewidth=0.0 if style.joins else 1.0,
    )
    axes.add_collection(bars, autolim=False)

"""One picture a video: what the model saw over time against what is annotated."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline_lib.pictures.figures import (
    EVENT_COLOUR,
    FAINT,
    GREY,
    INK,
    columns,
    shortened,
    spread,
)
from pipeline_lib.pictures.fonts import font_families
from pipeline_lib.pictures.pixel_board import PixelBoard
from pipeline_lib.pictures.probability_lines import Series, Steps, choose_series, steps
from pipeline_lib.pictures.time_axis import TimeAxis
from pipeline_lib.pictures.time_bars import owned_times, runs, time_ticks, time_words

# All in pixels.
_WIDTH = 1000.0
_LEFT, _RIGHT = 92.0, 806.0
_AXIS = 34.0  # height of the time axis' words
_LANE = 15.0
_EVENTS = 20.0
_PANEL = 150.0
_GAP = 8.0
_TITLES = 52.0
_LABEL_PITCH = 14.0
_LEADER = 14.0  # from a line's end to its label
_COLUMN = 2.0  # windows narrower than this share a step of the lines
_NARROWEST_BAR = 1.0
_LETTER = 7.0  # width of one, at most about

_LONGEST_TITLE = 100
_LONGEST_NAME = 24
_LONGEST_NORMAL = 8


@dataclass(frozen=True)
class ProbabilityTimeline:
    """What one picture shows; times in seconds.

    Attributes:
        title: First line above the picture.
        seconds: Length of the video.
        events: (start, end) of each annotated event.
        starts: Window starts, float [n], ascending.
        ends: Window ends, float [n], ascending.
        probabilities: Of each class in each window, float [n, C], rows sum to 1.
        true_class: Index of the annotated class.
        predicted_class: Index of the class predicted for the whole video.
        confidence: Probability of the predicted class for the whole video, or ``None`` where it
            has none (a vote).
    """

    title: str
    seconds: float
    events: Sequence[tuple[float, float]]
    starts: np.ndarray
    ends: np.ndarray
    probabilities: np.ndarray
    true_class: int
    predicted_class: int
    confidence: float | None = None


class ProbabilitySheet:
    """Draws many probability timelines on one figure, which is far faster than a figure each.

    A picture shows the annotated class, the normal class, and the classes most often predicted in
    the video with a line and a lane each; of all others it shows the most probable one. Where
    windows overlap, each is shown for the part of the time that is nearest to its middle.

    Args:
        class_names: Names of the C classes.
        normal: Index of the normal class, or ``None`` where there is none.
        threshold: Anomaly score ``1 - P(normal)`` from which on a window counts as anomalous, or
            ``None``; without a normal class there is no such score and it is not drawn.
    """

    def __init__(
        self, class_names: Sequence[str], normal: int | None, threshold: float | None = None
    ) -> None:
        self._names = [shortened(name, _LONGEST_NAME) for name in class_names]
        self._normal = normal
        self._threshold = None if normal is None else threshold
        self._board = PixelBoard(_WIDTH)

    def draw(self, path: Path, timeline: ProbabilityTimeline) -> None:
        """Write one picture; the same timeline gives the same bytes.

        The file itself says where its time axis lies: see :mod:`pipeline_lib.pictures.time_axis`.

        Args:
            path: The PNG to write.
            timeline: What it shows.
        """
        _Picture(self._board, self._names, self._normal, self._threshold, timeline).draw(path)


class _Picture:
    """One picture, drawn from the time axis upwards."""

    def __init__(
        self,
        board: PixelBoard,
        names: Sequence[str],
        normal: int | None,
        threshold: float | None,
        timeline: ProbabilityTimeline,
    ) -> None:
        self._board = board
        self._names = names
        self._normal = normal
        self._threshold = threshold
        self._timeline = timeline
        self._series = choose_series(
            timeline.probabilities,
            names,
            true_class=timeline.true_class,
            predicted_class=timeline.predicted_class,
            normal=normal,
        )
        self._last = max([timeline.seconds, *timeline.ends.tolist()[-1:]])
        self._fonts = font_families([timeline.title, *names])
        times = owned_times(timeline.starts, timeline.ends)
        self._windows = (self._x(times[0]), self._x(times[1]))
        events = np.clip(np.array(timeline.events).reshape(-1, 2), 0, self._last)
        self._events = (self._x(events[:, 0]), self._x(events[:, 1]))

    def draw(self, path: Path) -> None:
        """Lay the parts out and write the file."""
        lanes = len(self._series) + (self._threshold is not None)
        events = _AXIS + lanes * _LANE + _GAP / 2
        panel = events + _EVENTS + _GAP
        top = panel + _PANEL
        self._board.clear(top + _TITLES)
        self._draw_background(top)
        self._draw_lanes()
        self._draw_events(events)
        self._draw_lines(panel)
        self._draw_titles(top)
        axis = TimeAxis(_LEFT, _RIGHT, _WIDTH, float(self._last))
        self._board.save(path, axis.as_texts())

    def _x(self, seconds: np.ndarray) -> np.ndarray:
        return _LEFT + (_RIGHT - _LEFT) * np.asarray(seconds, float) / self._last

    def _draw_background(self, top: float) -> None:
        """The time axis, its grid, and a band for each event."""
        places, words, unit = time_ticks(self._last)
        at = self._x(places)
        self._board.lines(
            [np.array([[x, _AXIS], [x, top]]) for x in at], color=FAINT, linewidth=0.8
        )
        self._board.bars(*self._events, _AXIS, top, facecolor=EVENT_COLOUR, alpha=0.1)
        for x, word in zip(at, words, strict=True):
            self._board.text(x, _AXIS - 12, word, ha="center")
        self._board.text(_RIGHT + 2 * _LEADER, _AXIS - 12, unit)

    def _draw_lanes(self) -> None:
        """The windows predicted as each class, and those that count as anomalous."""
        bottom = _AXIS
        if self._threshold is not None and self._normal is not None:
            score = 1 - self._timeline.probabilities[:, self._normal]
            name = shortened(self._names[self._normal], _LONGEST_NORMAL)
            words = f"1 − P({name}) ≥ {self._threshold:.4g}"
            self._lane(bottom, score >= self._threshold, INK, words)
            self._board.text(_LEFT - 8, bottom + _LANE / 2, "anomalous", ha="right")
            bottom += _LANE
        middle = bottom + len(self._series) * _LANE / 2
        self._board.text(_LEFT - 8, middle, "predicted", ha="right")
        for series in reversed(self._series):
            self._lane(bottom, series.chosen, series.colour, series.words)
            bottom += _LANE

    def _lane(self, bottom: float, chosen: np.ndarray, colour: str, words: str) -> None:
        left, right = runs(*(side[chosen] for side in self._windows))
        self._bars(left, right, bottom + 2, bottom + _LANE - 2, colour)
        self._board.text(_RIGHT + _LEADER, bottom + _LANE / 2, words, family=self._fonts)

    def _bars(
        self, left: np.ndarray, right: np.ndarray, low: float, high: float, colour: str
    ) -> None:
        """Bars that are never too narrow to be seen."""
        missing = np.maximum(_NARROWEST_BAR - (right - left), 0) / 2
        self._board.bars(left - missing, right + missing, low, high, facecolor=colour)

    def _draw_events(self, bottom: float) -> None:
        """Bars of the annotated events, with their times where these fit."""
        events = self._timeline.events
        middle = bottom + _EVENTS / 2
        self._board.text(_LEFT - 8, middle, "annotated", ha="right")
        said = f"{len(events)} event{'s' * (len(events) > 1)}" if events else "no event"
        self._board.text(_RIGHT + _LEADER, middle, said)
        self._bars(*self._events, bottom + 1, bottom + _EVENTS - 1, EVENT_COLOUR)
        for event, left, right in zip(events, *self._events, strict=True):
            words = " – ".join(time_words(time, self._last) for time in event)
            if right - left > _LETTER * columns(words):
                self._board.text((left + right) / 2, middle, words, ha="center", color="white")

    def _draw_lines(self, bottom: float) -> None:
        """Probabilities over time, each line labelled at its end."""
        for value in (0.0, 0.5, 1.0):
            y = bottom + value * _PANEL
            self._board.lines([_level(y)], color=GREY, linewidth=0.6)
            self._board.text(_LEFT - 8, y, f"{value:g}", ha="right")
        self._board.text(_LEFT - 44, bottom + _PANEL / 2, "probability", rotation=90, ha="center")
        if not len(self._timeline.starts):
            x = (_LEFT + _RIGHT) / 2
            self._board.text(x, bottom + 0.75 * _PANEL, "no window", ha="center")
            return
        lines = [
            (series, steps(*self._windows, bottom + _PANEL * series.values, _COLUMN))
            for series in reversed(self._series)
        ]
        labels = [(series.words, series.colour) for series, _ in lines]
        heights = [float(shape.mean[-1]) for _, shape in lines]
        merged = len(self._timeline.starts) / len(lines[0][1].mean)
        for series, shape in lines:
            self._draw_line(series, shape, merged > 1)
        if merged > 1:
            said = f"means of {merged:.2g} windows, shaded: their range"
            self._board.text(_RIGHT, bottom + _PANEL + 8, said, ha="right", fontsize=8)
        if self._threshold is not None:
            labels.append(("anomaly threshold", INK))
            heights.append(bottom + (1 - self._threshold) * _PANEL)
            dots = (0, (1, 2))
            self._board.lines([_level(heights[-1])], color=INK, linewidth=1.0, linestyle=dots)
        places = spread(heights, _LABEL_PITCH, bottom, bottom + _PANEL)
        for (words, colour), height, place in zip(labels, heights, places, strict=True):
            leader = np.array([[_RIGHT, height], [_RIGHT + _LEADER - 3, place]])
            self._board.lines([leader], color=colour, linewidth=1.0)
            self._board.text(_RIGHT + _LEADER, place, words, family=self._fonts)

    def _draw_line(self, series: Series, shape: Steps, merged: bool) -> None:
        """Draw one class over time."""
        if merged and series.ranged:
            self._board.areas(shape.ranges(), facecolor=series.colour, alpha=0.3)
        width = min(series.width, 1.3) if merged else series.width
        style = {"color": series.colour, "linewidth": width, "linestyle": series.dashes}
        self._board.lines([shape.line()], **style)

    def _draw_titles(self, top: float) -> None:
        """The video, and whether its prediction is right."""
        timeline = self._timeline
        right = timeline.predicted_class == timeline.true_class
        sure = "" if timeline.confidence is None else f" ({timeline.confidence:.2f})"
        predicted, annotated = (
            self._names[index] for index in (timeline.predicted_class, timeline.true_class)
        )
        self._board.text(
            _LEFT - 8,
            top + 18,
            "✓ right" if right else "✗ WRONG",
            ha="right",
            fontsize=10,
            weight="normal" if right else "bold",
        )
        said = f"predicted {predicted}{sure}, annotated {annotated}"
        self._board.text(_LEFT, top + 18, said, fontsize=10, family=self._fonts)
        title = shortened(timeline.title, _LONGEST_TITLE)
        self._board.text(_LEFT, top + 38, title, fontsize=11, family=self._fonts)


def _level(y: float) -> np.ndarray:
    """A horizontal line across the picture, [2, 2]."""
    return np.array([[_LEFT, y], [_RIGHT, y]])

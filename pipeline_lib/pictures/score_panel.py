"""Scores over the time of a video, with the frames that were chosen by them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline_lib.pictures.figures import FAINT, GREEN, GREY, INK
from pipeline_lib.pictures.time_bars import time_ticks

Mark = Literal["circle", "square", "diamond", "triangle"]
# In the order they are given to curves: colour alone does not tell everyone.
MARKS: tuple[Mark, ...] = ("circle", "square", "diamond", "triangle")
_TURNS: dict[Mark, tuple[int, float]] = {  # corners, and how far the first is turned, in degrees
    "circle": (32, 0.0),
    "square": (4, 45.0),
    "diamond": (4, 0.0),
    "triangle": (3, 0.0),
}

_LEFT, _TOP, _AXIS = 64, 10, 44
_HEIGHT = 190
_INSET = 12  # of the curves from the edges, so that marks on them are whole
_FLOOR = 14  # where frames without a score stand
_MARK = 7.0
_LINE = 2.0
_FINER = 4  # shapes are drawn so many times larger and reduced, which smooths their edges
_PALE_GREEN = "#d6efe6"
_PALE_BLUE = "#dfecf6"
_FLAT = 0.01  # least range of the score axis
_PAPER = "#ffffff"
_DASH = 4


@dataclass(frozen=True)
class Curve:
    """Scores of one row of frames.

    Attributes:
        pts_s: float64 [n], when each scored frame is shown, ascending; may be empty.
        scores: float64 [n].
        chosen_s: float64 [m], when the chosen frames are shown.
        colour: Of the line and the marks, ``#rrggbb``.
        mark: Shape of the marks.
        stretches_s: Where what the chosen frames show begins and ends; may be empty.
    """

    pts_s: NDArray[np.float64]
    scores: NDArray[np.float64]
    chosen_s: NDArray[np.float64]
    colour: str
    mark: Mark
    stretches_s: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class _Scale:
    """Places on the panel, in pixels from its upper left corner."""

    width: int
    length_s: float
    low: float
    high: float

    def x(self, seconds: float) -> float:
        inside = min(max(seconds, 0.0), self.length_s)
        return _LEFT + (self.width - _LEFT - _INSET) * inside / self.length_s

    def y(self, score: float) -> float:
        share = (score - self.low) / (self.high - self.low)
        return _TOP + _INSET + (1 - share) * (_HEIGHT - 2 * _INSET - _FLOOR)

    @property
    def floor(self) -> float:
        return _TOP + _HEIGHT - _FLOOR / 2


class _Canvas:
    """Shapes drawn large, to be reduced; in the pixels of the panel."""

    def __init__(self, width: int, height: int) -> None:
        self._image = Image.new("RGB", (width * _FINER, height * _FINER), _PAPER)
        self._draw = ImageDraw.Draw(self._image)

    def line(self, points: Sequence[tuple[float, float]], colour: str, width: float) -> None:
        scaled = [(x * _FINER, y * _FINER) for x, y in points]
        if scaled:
            self._draw.line(scaled, colour, round(width * _FINER), joint="curve")

    def box(self, left: float, top: float, right: float, bottom: float, colour: str) -> None:
        corners = (left * _FINER, top * _FINER, right * _FINER, bottom * _FINER)
        self._draw.rectangle(corners, colour)

    def mark(self, x: float, y: float, radius: float, mark: Mark, colour: str) -> None:
        corners, turn = _TURNS[mark]
        angles = np.radians(np.arange(corners) * 360 / corners + turn - 90)
        for size, fill in ((radius, _PAPER), (0.78 * radius, colour)):
            xs = (x + size * np.cos(angles)) * _FINER
            ys = (y + size * np.sin(angles)) * _FINER
            self._draw.polygon(list(zip(xs.tolist(), ys.tolist(), strict=True)), fill)

    def reduced(self) -> Image.Image:
        return self._image.reduce(_FINER)


def score_panel(
    width: int,
    curves: Sequence[Curve],
    *,
    length_s: float,
    moments_s: Sequence[float],
    tolerance_s: float,
    parts_s: Sequence[float],
    font: ImageFont.FreeTypeFont,
) -> Image.Image:
    """Draw curves over a common time axis and on one scale.

    Args:
        width: Of the picture, in pixels.
        curves: Those drawn later cover those before; frames of one without scores stand below.
        length_s: Length of the video, above 0.
        moments_s: When what was looked for is really seen.
        tolerance_s: Half the width of the band around a moment.
        parts_s: Where the timeline is cut.
        font: Of all words.
    """
    scale = _scale(width, curves, length_s)
    ticks = _score_ticks(scale) if any(len(curve.scores) for curve in curves) else []
    canvas = _Canvas(width, _TOP + _HEIGHT)
    _draw_stretches(canvas, scale, curves)
    _draw_grid(canvas, scale, ticks, parts_s)
    _draw_moments(canvas, scale, moments_s, tolerance_s)
    _draw_curves(canvas, scale, curves)
    panel = Image.new("RGB", (width, _TOP + _HEIGHT + _AXIS), _PAPER)
    panel.paste(canvas.reduced(), (0, 0))
    draw = ImageDraw.Draw(panel)
    for value in ticks:
        draw.text((_LEFT - 8, scale.y(value)), f"{value:g}", GREY, font, anchor="rm")
    _time_axis(draw, scale, font)
    said = ["line: score of every sampled frame"] if ticks else []
    said.append("marks: the frames above")
    if any(curve.stretches_s for curve in curves):
        said.append("bands: how long these last")
    if parts_s:
        said.append("dashes: parts of the timeline")
    if moments_s:
        around = f" ± {tolerance_s:g} s" if tolerance_s else ""
        said.append(f"green: true moments{around}")
    place = (width - _INSET, _unit_line(font))
    draw.text(place, "   ·   ".join(said), INK, font, anchor="ra")
    return panel


def draw_mark(
    image: Image.Image, at: tuple[float, float], radius: float, mark: Mark, colour: str
) -> None:
    """Draw one mark on white."""
    side = round(2 * radius) + 2
    canvas = _Canvas(side, side)
    canvas.mark(side / 2, side / 2, radius, mark, colour)
    image.paste(canvas.reduced(), (round(at[0] - side / 2), round(at[1] - side / 2)))


def _scale(width: int, curves: Sequence[Curve], length_s: float) -> _Scale:
    values = np.concatenate([np.zeros(0), *(curve.scores for curve in curves)])
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    missing = max(_FLAT - (high - low), 0.0) / 2
    return _Scale(width, length_s, low - missing, high + missing)


def _draw_stretches(canvas: _Canvas, scale: _Scale, curves: Sequence[Curve]) -> None:
    """Pale bands, each a little narrower than its stretch, so that neighbours stay two."""
    for start, end in (stretch for curve in curves for stretch in curve.stretches_s):
        left, right = scale.x(start), scale.x(end)
        canvas.box(left + 1, _TOP, max(right - 1, left + 2), _TOP + _HEIGHT, _PALE_BLUE)


def _draw_grid(
    canvas: _Canvas, scale: _Scale, ticks: Sequence[float], parts_s: Sequence[float]
) -> None:
    bottom, end = _TOP + _HEIGHT, scale.x(scale.length_s)
    for value in ticks:
        canvas.line([(_LEFT, scale.y(value)), (end, scale.y(value))], FAINT, 1)
    for x in map(scale.x, parts_s):
        for top in range(_TOP, bottom, 2 * _DASH):
            canvas.line([(x, top), (x, top + _DASH)], GREY, 1)
    canvas.line([(_LEFT, bottom - 1), (end, bottom - 1)], GREY, 1)


def _draw_moments(
    canvas: _Canvas, scale: _Scale, moments_s: Sequence[float], tolerance_s: float
) -> None:
    bottom = _TOP + _HEIGHT
    for moment in moments_s:
        left, right = scale.x(moment - tolerance_s), scale.x(moment + tolerance_s)
        canvas.box(left - 1, _TOP, right + 1, bottom, _PALE_GREEN)
    for x in map(scale.x, moments_s):
        canvas.line([(x, _TOP), (x, bottom)], GREEN, 1.5)


def _draw_curves(canvas: _Canvas, scale: _Scale, curves: Sequence[Curve]) -> None:
    for curve in curves:
        times = map(scale.x, curve.pts_s.tolist())
        canvas.line(
            list(zip(times, map(scale.y, curve.scores.tolist()), strict=True)), curve.colour, _LINE
        )
    for curve in curves:
        heights = [scale.floor] * len(curve.chosen_s)
        if len(curve.scores):
            at = np.interp(curve.chosen_s, curve.pts_s, curve.scores)
            heights = list(map(scale.y, at.tolist()))
        for time, y in zip(curve.chosen_s.tolist(), heights, strict=True):
            canvas.mark(scale.x(time), y, _MARK, curve.mark, curve.colour)


def _score_ticks(scale: _Scale) -> list[float]:
    ticks = MaxNLocator(nbins=4, steps=[1, 2, 5, 10]).tick_values(scale.low, scale.high)
    rounded = [round(float(tick), 6) for tick in ticks]
    return [tick for tick in rounded if scale.low <= tick <= scale.high]


def _unit_line(font: ImageFont.FreeTypeFont) -> float:
    """Height of the words below those of the time axis."""
    return _TOP + _HEIGHT + 5 + 1.35 * font.size


def _time_axis(draw: ImageDraw.ImageDraw, scale: _Scale, font: ImageFont.FreeTypeFont) -> None:
    places, words, unit = time_ticks(scale.length_s)
    y = _TOP + _HEIGHT
    for place, word in zip(places.tolist(), words, strict=True):
        draw.line([(scale.x(place), y), (scale.x(place), y + 4)], GREY, 1)
        draw.text((scale.x(place), y + 5), word, GREY, font, anchor="ma")
    draw.text((_LEFT, _unit_line(font)), unit, GREY, font)

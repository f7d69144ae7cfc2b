"""Strips: chosen frames side by side, over the timeline with the scores they were chosen by."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline_lib.pictures.figures import GREEN, GREY, INK, VERMILION
from pipeline_lib.pictures.fonts import font_families
from pipeline_lib.pictures.lettering import LINE, fitted, letters, wrapped
from pipeline_lib.pictures.score_panel import MARKS, Curve, Mark, draw_mark, score_panel
from pipeline_lib.pictures.time_bars import time_words
from pipeline_lib.storage.atomic import replacing

_MARGIN = 24
_WIDTH = 1320
_GAP = 12
_BORDER = 4
_FEWEST, _MOST = 4, 8  # tiles side by side
_TALLEST = 0.75  # of a tile's width
_BADGE = 26
_PAPER = "#ffffff"


@dataclass(frozen=True)
class StripTile:
    """One frame.

    Attributes:
        image: Pixels uint8 [H, W, 3], or a picture file.
        pts_s: When it is shown, seconds.
        text: Words below the time; may have several lines.
        hit: Whether it shows what was looked for; ``None`` where that is not known.
    """

    image: NDArray[np.uint8] | Path
    pts_s: float
    text: str = ""
    hit: bool | None = None


@dataclass(frozen=True)
class StripRow:
    """Frames that were chosen together.

    Attributes:
        label: Words above them.
        tiles: In the order they are shown; may be empty.
        pts_s: When each scored frame of the video is shown, float [n] seconds, ascending; empty
            where the frames were not chosen by scores.
        scores: Their scores, float [n].
        colour: Of the frames' borders, the curve and the marks, ``#rrggbb``.
        stretches_s: Where what the frames show begins and ends, for each tile; may be empty.
    """

    label: str
    tiles: Sequence[StripTile]
    pts_s: Sequence[float] | NDArray[np.floating]
    scores: Sequence[float] | NDArray[np.floating]
    colour: str
    stretches_s: Sequence[tuple[float, float]] = ()


def draw_strip(
    path: Path,
    title: str,
    rows: Sequence[StripRow],
    *,
    length_s: float,
    moments_s: Sequence[float] = (),
    tolerance_s: float = 0.0,
    parts_s: Sequence[float] = (),
    source: str = "",
) -> None:
    """Write a picture of rows of frames; the same input gives the same bytes.

    Args:
        path: The PNG to write.
        title: What was looked for, in large letters; long ones take several lines.
        rows: Shown one below the other. Their curves share one scale.
        length_s: Length of the video; 0 leaves the timeline out.
        moments_s: When what was looked for is really seen.
        tolerance_s: A frame at most this far from a moment counts as right.
        parts_s: Where the timeline is cut.
        source: Where the frames come from, in small letters.
    """
    words = [title, source, *(row.label for row in rows)]
    words += [tile.text for row in rows for tile in row.tiles]
    family = font_families(words)[-1]
    columns = min(max([_FEWEST, *(len(row.tiles) for row in rows)]), _MOST)
    bands = [_text(title, letters(family, 26, bold=True), INK)]
    if source:
        bands.append(_text(source, letters(family, 15), GREY))
    for number, row in enumerate(rows):
        bands.append(_label(row, MARKS[number % len(MARKS)], letters(family, 18, bold=True)))
        for first in range(0, len(row.tiles), columns):
            some = row.tiles[first : first + columns]
            bands.append(_tiles(some, row.colour, columns, length_s, family))
    if length_s > 0:
        curves = [_curve(row, MARKS[number % len(MARKS)]) for number, row in enumerate(rows)]
        bands.append(
            score_panel(
                _WIDTH - 2 * _MARGIN,
                curves,
                length_s=length_s,
                moments_s=moments_s,
                tolerance_s=tolerance_s,
                parts_s=parts_s,
                font=letters(family, 14),
            )
        )
    with replacing(path) as temporary:
        _stacked(bands).save(temporary, format="PNG")


def _stacked(bands: Sequence[Image.Image]) -> Image.Image:
    """The bands below each other, with a margin around all."""
    sheet = Image.new("RGB", (_WIDTH, 2 * _MARGIN + sum(band.height for band in bands)), _PAPER)
    top = _MARGIN
    for band in bands:
        sheet.paste(band, (_MARGIN, top))
        top += band.height
    return sheet


def _blank(height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """An empty band as wide as the picture between its margins."""
    band = Image.new("RGB", (_WIDTH - 2 * _MARGIN, height), _PAPER)
    return band, ImageDraw.Draw(band)


def _text(text: str, font: ImageFont.FreeTypeFont, colour: str, indent: int = 0) -> Image.Image:
    lines = list(wrapped(text, font, _WIDTH - 2 * _MARGIN - indent))
    pitch = round(LINE * font.size)
    band, draw = _blank(pitch * len(lines) + _GAP // 2)
    for number, line in enumerate(lines):
        draw.text((indent, number * pitch), line, colour, font)
    return band


def _label(row: StripRow, mark: Mark, font: ImageFont.FreeTypeFont) -> Image.Image:
    """The words above a row behind the mark its frames have on the timeline."""
    size = round(font.size)
    words = _text(row.label, font, INK, indent=2 * size)
    draw_mark(words, (0.6 * size, 0.62 * size), 0.42 * size, mark, row.colour)
    band, _ = _blank(_GAP + words.height)
    band.paste(words, (0, _GAP))
    return band


def _tiles(
    tiles: Sequence[StripTile], colour: str, columns: int, length_s: float, family: str
) -> Image.Image:
    """Frames side by side, with the time and the words of each below."""
    pitch_x = (_WIDTH - 2 * _MARGIN + _GAP) // columns
    inner = pitch_x - _GAP - 2 * _BORDER
    time_font, note_font = letters(family, 16, bold=True), letters(family, 14)
    pictures = [fitted(tile.image, inner, round(_TALLEST * inner)) for tile in tiles]
    notes = [
        [line for part in tile.text.splitlines() for line in wrapped(part, note_font, inner)]
        for tile in tiles
    ]
    tallest = max(picture.height for picture in pictures) + 2 * _BORDER
    time_pitch, note_pitch = round(LINE * time_font.size), round(LINE * note_font.size)
    most_lines = max(map(len, notes))
    band, draw = _blank(tallest + 3 + time_pitch + most_lines * note_pitch + _GAP)
    for column, (tile, picture) in enumerate(zip(tiles, pictures, strict=True)):
        left = column * pitch_x
        right, bottom = left + picture.width + 2 * _BORDER, picture.height + 2 * _BORDER
        draw.rectangle((left, 0, right - 1, bottom - 1), colour)
        band.paste(picture, (left + _BORDER, _BORDER))
        if tile.hit is not None:
            _badge(draw, right - _BORDER - _BADGE, _BORDER, tile.hit)
        clock = time_words(tile.pts_s, length_s)
        time = clock if ":" in clock else f"{tile.pts_s:.2f} s"
        draw.text((left, tallest + 3), time, INK, time_font)
        for number, line in enumerate(notes[column]):
            y = tallest + 3 + time_pitch + number * note_pitch
            draw.text((left, y), line, INK, note_font)
    return band


def _badge(draw: ImageDraw.ImageDraw, left: int, top: int, hit: bool) -> None:
    """A tick or a cross in the corner of a frame."""
    draw.rectangle((left, top, left + _BADGE - 1, top + _BADGE - 1), GREEN if hit else VERMILION)
    shape = ((6, 14), (11, 19), (20, 8)) if hit else ((7, 7), (19, 19))
    draw.line([(left + x, top + y) for x, y in shape], _PAPER, 3)
    if not hit:
        draw.line([(left + 19, top + 7), (left + 7, top + 19)], _PAPER, 3)


def _curve(row: StripRow, mark: Mark) -> Curve:
    return Curve(
        np.asarray(row.pts_s, dtype=np.float64),
        np.asarray(row.scores, dtype=np.float64),
        np.array([tile.pts_s for tile in row.tiles], dtype=np.float64),
        row.colour,
        mark,
        row.stretches_s,
    )

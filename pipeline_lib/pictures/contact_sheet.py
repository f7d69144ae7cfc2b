"""Contact sheets: groups of frames under a question, on the timeline they come from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline_lib.pictures.fonts import font_families
from pipeline_lib.pictures.lettering import LINE, fitted, letters, wrapped
from pipeline_lib.storage.atomic import write_bytes
from pipeline_lib.storage.png import encode_png

Colour = tuple[int, int, int]
_COLUMNS = 5
_TILE = (232, 174)  # a frame is scaled to fit
_BORDER = 6
_GAP = 14
_MARGIN = 24
_WIDTH = 2 * _MARGIN + _COLUMNS * (_TILE[0] + 2 * _BORDER) + (_COLUMNS - 1) * _GAP
_INK: Colour = (20, 20, 20)
_GREY: Colour = (105, 105, 105)
_PALE: Colour = (225, 225, 225)
_PAPER: Colour = (255, 255, 255)
_BAR = 28
_TICK = 6


@dataclass(frozen=True)
class Tile:
    """One frame.

    Attributes:
        image: A picture file, or pixels uint8 [H, W, 3]; where sheets share frames, those of
            :func:`thumbnail`.
        time_s: When it is shown.
        note: Words below the time.
    """

    image: Path | NDArray[np.uint8]
    time_s: float
    note: str


@dataclass(frozen=True)
class TileGroup:
    """Frames that mean the same.

    Attributes:
        title: Words above them.
        colour: Of their border, their title and their ticks on the timeline.
        tiles: In the order they are shown; may be empty.
    """

    title: str
    colour: Colour
    tiles: Sequence[Tile]


def draw_contact_sheet(
    path: Path,
    *,
    title: str,
    lines: Sequence[str],
    source: str,
    groups: Sequence[TileGroup],
    length_s: float,
    segments: int,
) -> None:
    """Write a contact sheet; the same input gives the same bytes.

    Args:
        path: The PNG to write.
        title: The question, in large letters.
        lines: Below it, one bullet each: the choices.
        source: Where the frames come from, in small letters.
        groups: Shown one below the other.
        length_s: Length of the timeline; 0 leaves it out.
        segments: Equal segments it is divided into.
    """
    family = font_families([title, source, *lines, *(group.title for group in groups)])[-1]
    strips = [_text(title, letters(family, 26, bold=True), _INK)]
    strips += [_text(f"•  {line}", letters(family, 19), _INK) for line in lines]
    strips.append(_text(source, letters(family, 15), _GREY))
    if length_s > 0:
        strips.append(_timeline(groups, length_s, segments, letters(family, 15)))
    for group in groups:
        strips.append(_text(group.title, letters(family, 19, bold=True), group.colour))
        for first in range(0, len(group.tiles), _COLUMNS):
            row = group.tiles[first : first + _COLUMNS]
            strips.append(_tiles(row, group.colour, family))
    sheet = Image.new("RGB", (_WIDTH, 2 * _MARGIN + sum(strip.height for strip in strips)), _PAPER)
    top = _MARGIN
    for strip in strips:
        sheet.paste(strip, (_MARGIN, top))
        top += strip.height
    write_bytes(path, encode_png(np.asarray(sheet)))


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``image`` uint8 [H, W, 3] as small as the tile it is shown in."""
    return np.asarray(fitted(image, *_TILE))


def _blank(height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """An empty strip as wide as the sheet between its margins."""
    strip = Image.new("RGB", (_WIDTH - 2 * _MARGIN, height), _PAPER)
    return strip, ImageDraw.Draw(strip)


def _text(text: str, font: ImageFont.FreeTypeFont, colour: Colour) -> Image.Image:
    lines = list(wrapped(text, font, _WIDTH - 2 * _MARGIN))
    pitch = round(LINE * font.size)
    strip, draw = _blank(pitch * len(lines) + _GAP // 2)
    for number, line in enumerate(lines):
        draw.text((0, number * pitch), line, colour, font)
    return strip


def _timeline(
    groups: Sequence[TileGroup], length_s: float, segments: int, font: ImageFont.FreeTypeFont
) -> Image.Image:
    """A bar from 0 to the end, its segments numbered, with a tick for every frame."""
    strip, draw = _blank(_BAR + 3 * _GAP + round(LINE * font.size))
    width = strip.width
    for segment in range(segments):
        left, right = width * segment // segments, width * (segment + 1) // segments
        draw.rectangle((left, _GAP, right - 2, _GAP + _BAR), _PALE)
        draw.text((left + 4, _GAP + _BAR + 4), f"segment {segment}", _GREY, font)
    draw.text((width, _GAP + _BAR + 4), f"{length_s:.1f} s", _GREY, font, anchor="ra")
    pitch = _BAR // len(groups)  # each group at its own height: colour alone does not tell everyone
    for number, group in enumerate(groups):
        top = _GAP + number * pitch
        for tile in group.tiles:
            x = min(round(width * tile.time_s / length_s), width - _TICK)
            draw.rectangle((x, top, x + _TICK - 1, top + pitch - 1), group.colour)
    return strip


def _tiles(row: Sequence[Tile], colour: Colour, family: str) -> Image.Image:
    """One row of frames with a border, the time and the note below each."""
    time_font, note_font = letters(family, 17, bold=True), letters(family, 15)
    pictures = [fitted(tile.image, *_TILE) for tile in row]
    tallest = max(picture.height for picture in pictures) + 2 * _BORDER
    time_pitch, note_pitch = round(LINE * time_font.size), round(LINE * note_font.size)
    strip, draw = _blank(tallest + time_pitch + note_pitch + _GAP)
    for column, (tile, picture) in enumerate(zip(row, pictures, strict=True)):
        left = column * (_TILE[0] + 2 * _BORDER + _GAP)
        right, bottom = left + picture.width + 2 * _BORDER, picture.height + 2 * _BORDER
        draw.rectangle((left, 0, right - 1, bottom - 1), colour)
        strip.paste(picture, (left + _BORDER, _BORDER))
        draw.text((left, tallest + 3), f"{tile.time_s:.2f} s", colour, time_font)
        draw.text((left, tallest + 3 + time_pitch), tile.note, _INK, note_font)
    return strip

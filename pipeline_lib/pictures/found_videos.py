"""What a caption finds: its best videos below each other, a few frames of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline_lib.pictures.figures import FAINT, GREEN, GREY, INK
from pipeline_lib.pictures.fonts import font_families
from pipeline_lib.pictures.lettering import LINE, fitted, letters, wrapped
from pipeline_lib.storage.atomic import replacing

_MARGIN = 24
_WIDTH = 1320
_WORDS = 330  # the column on the left
_GAP = 8
_BAR = 8  # before the row of a right video
_TALLEST = 0.75  # of a frame's width
_NOTE_LINES = 3
_PAPER = "#ffffff"


@dataclass(frozen=True)
class FoundVideo:
    """One row.

    Attributes:
        rank: From 1.
        name: What the video is called.
        score: How well it fits.
        note: Small words, such as its own caption; long ones are cut.
        frames: Pixels uint8 [H, W, 3] each, in the order of time.
        right: Whether it is one of those that were looked for.
    """

    rank: int
    name: str
    score: float
    note: str
    frames: Sequence[NDArray[np.uint8]]
    right: bool


def draw_found_videos(path: Path, query: str, videos: Sequence[FoundVideo], source: str) -> None:
    """Write a picture of a query and what it finds; the same input gives the same bytes.

    Right videos have a green bar and the word "right" before them, for readers of any eye. Where
    ranks are left out between two rows, a line of dots says so.

    Args:
        path: The PNG to write.
        query: In large letters.
        videos: By rank, ascending.
        source: In small letters below the query.
    """
    words = [query, source, *(f"{video.name} {video.note}" for video in videos)]
    family = font_families(words)[-1]
    bands = [_text(query, letters(family, 26, bold=True), INK)]
    bands.append(_text(source, letters(family, 15), GREY))
    before = 0
    columns = max((len(video.frames) for video in videos), default=1)
    for video in videos:
        if video.rank > before + 1:
            bands.append(_text("⋮", letters(family, 18, bold=True), GREY))
        bands.append(_row(video, columns, family))
        before = video.rank
    sheet = Image.new("RGB", (_WIDTH, 2 * _MARGIN + sum(band.height for band in bands)), _PAPER)
    top = _MARGIN
    for band in bands:
        sheet.paste(band, (_MARGIN, top))
        top += band.height
    with replacing(path) as temporary:
        sheet.save(temporary, format="PNG")


def _text(text: str, font: ImageFont.FreeTypeFont, colour: str) -> Image.Image:
    lines = list(wrapped(text, font, _WIDTH - 2 * _MARGIN))
    pitch = round(LINE * font.size)
    band = Image.new("RGB", (_WIDTH - 2 * _MARGIN, pitch * len(lines) + _GAP), _PAPER)
    draw = ImageDraw.Draw(band)
    for number, line in enumerate(lines):
        draw.text((0, number * pitch), line, colour, font)
    return band


def _row(video: FoundVideo, columns: int, family: str) -> Image.Image:
    """Rank, name and score on the left, frames side by side on the right."""
    width = _WIDTH - 2 * _MARGIN
    pitch = (width - _WORDS + _GAP) // max(columns, 1)
    pictures = [
        fitted(frame, pitch - _GAP, round(_TALLEST * (pitch - _GAP))) for frame in video.frames
    ]
    bold, small = letters(family, 18, bold=True), letters(family, 14)
    head = f"{video.rank}" + ("  right" if video.right else "")
    room = _WORDS - 3 * _GAP - _BAR
    name = next(wrapped(video.name, bold, room))
    score = f"cosine {video.score:.3f}"
    notes = list(wrapped(video.note, small, room)) if video.note else []
    if len(notes) > _NOTE_LINES:
        notes[_NOTE_LINES - 1 :] = [notes[_NOTE_LINES - 1] + " …"]
    lines = [(head, bold), (name, bold), (score, small), *((note, small) for note in notes)]
    heights = [round(LINE * font.size) for _, font in lines]
    inner = max([sum(heights), *(picture.height for picture in pictures)])
    band = Image.new("RGB", (width, inner + 2 * _GAP), _PAPER)
    draw = ImageDraw.Draw(band)
    draw.line((0, 0, width, 0), FAINT, 1)
    if video.right:
        draw.rectangle((0, _GAP, _BAR - 1, _GAP + inner - 1), GREEN)
    top = _GAP
    for number, ((line, font), height) in enumerate(zip(lines, heights, strict=True)):
        colour = GREEN if video.right and number == 0 else INK if number < 2 else GREY
        draw.text((_BAR + _GAP, top), line, colour, font)
        top += height
    for column, picture in enumerate(pictures):
        band.paste(picture, (_WORDS + column * pitch, _GAP))
    return band

"""A video's frames beside what a network named it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline_lib.pictures.figures import BLUE, FAINT, GREEN, GREY, INK, VERMILION, shortened
from pipeline_lib.pictures.fonts import font_families
from pipeline_lib.pictures.lettering import LINE, fitted, letters, wrapped
from pipeline_lib.storage.atomic import replacing

_MARGIN, _GAP = 24, 8
_WIDTH = 1320
_WORDS = 380  # the column on the left
_BAR, _BAR_NAME = 16, 170
_LONGEST_NAME = 20
_MOST_FRAMES, _COLUMNS = 16, 4
_PAPER = "#ffffff"


@dataclass(frozen=True)
class NamedVideo:
    """One picture.

    Attributes:
        name: What the video is called.
        note: Small words, such as why it is shown.
        actual: Its class or value, in words.
        predicted: What was predicted, in words.
        right: Whether that is right; ``None`` where it is a value.
        shares: Classes and their probabilities, the largest first; empty for values.
        frames: As the network is shown them, uint8 [H, W, 3] each, in the order of time; of very
            many some are left out.
    """

    name: str
    note: str
    actual: str
    predicted: str
    right: bool | None
    shares: Sequence[tuple[str, float]]
    frames: Sequence[NDArray[np.uint8]]


def draw_named_video(path: Path, video: NamedVideo) -> None:
    """Write the frames beside the names; the same input gives the same bytes.

    Right and wrong names are told by a word too, for readers of any eye.

    Args:
        path: The PNG to write.
        video: What is drawn.
    """
    words = _words(video)
    frames = _frames(video.frames)
    height = max(words.height, frames.height)
    sheet = Image.new("RGB", (_WIDTH, height + 2 * _MARGIN), _PAPER)
    sheet.paste(words, (_MARGIN, _MARGIN))
    sheet.paste(frames, (_MARGIN + _WORDS, _MARGIN))
    with replacing(path) as temporary:
        sheet.save(temporary, format="PNG")


def _words(video: NamedVideo) -> Image.Image:
    texts = [video.name, video.note, video.actual, video.predicted]
    family = font_families([*texts, *(name for name, _ in video.shares)])[-1]
    bold, small = letters(family, 20, bold=True), letters(family, 14)
    verdict = {True: " (right)", False: " (wrong)", None: ""}[video.right]
    colour = {True: GREEN, False: VERMILION, None: INK}[video.right]
    room = _WORDS - 3 * _GAP
    lines = [
        *((line, bold, INK) for line in wrapped(f"actual: {video.actual}", bold, room)),
        *(
            (line, bold, colour)
            for line in wrapped(f"predicted{verdict}: {video.predicted}", bold, room)
        ),
        *((line, small, GREY) for line in wrapped(video.name, small, room)),
        *((line, small, GREY) for line in wrapped(video.note, small, room)),
    ]
    pitch = round(LINE * small.size)
    height = sum(round(LINE * font.size) for _, font, _ in lines)
    band = Image.new(
        "RGB", (_WORDS, height + 2 * _GAP + (pitch + _GAP) * len(video.shares)), _PAPER
    )
    draw, top = ImageDraw.Draw(band), 0
    for line, font, ink in lines:
        draw.text((0, top), line, ink, font)
        top += round(LINE * font.size)
    top += 2 * _GAP
    for name, share in video.shares:
        _bar(draw, top, name, share, BLUE if name == video.actual else GREY, small)
        top += pitch + _GAP
    return band


def _bar(
    draw: ImageDraw.ImageDraw,
    top: int,
    name: str,
    share: float,
    colour: str,
    font: ImageFont.FreeTypeFont,
) -> None:
    """A class with its probability; the actual one has another colour."""
    longest = _WORDS - _BAR_NAME - 90
    draw.text((0, top), shortened(name, _LONGEST_NAME), INK, font)
    draw.rectangle((_BAR_NAME, top, _BAR_NAME + longest, top + _BAR), FAINT)
    draw.rectangle((_BAR_NAME, top, _BAR_NAME + round(longest * share), top + _BAR), colour)
    draw.text((_BAR_NAME + longest + _GAP, top), f"{100 * share:.1f} %", INK, font)


def _frames(frames: Sequence[NDArray[np.uint8]]) -> Image.Image:
    """Rows of frames, from left to right."""
    number = min(len(frames), _MOST_FRAMES)
    shown = [frames[place * len(frames) // number] for place in range(number)]
    width = _WIDTH - 2 * _MARGIN - _WORDS
    side = (width + _GAP) // _COLUMNS - _GAP
    pictures = [fitted(frame, side, side) for frame in shown]
    tallest = max(picture.height for picture in pictures)
    rows = -(-number // _COLUMNS)
    band = Image.new("RGB", (width, rows * (tallest + _GAP) - _GAP), _PAPER)
    for place, picture in enumerate(pictures):
        row, column = divmod(place, _COLUMNS)
        band.paste(picture, (column * (side + _GAP), row * (tallest + _GAP)))
    return band

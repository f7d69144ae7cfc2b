"""Words and frames on pictures that are drawn with Pillow."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from matplotlib import font_manager
from numpy.typing import NDArray
from PIL import Image, ImageFont

LINE = 1.35  # from line to line, in font sizes


@cache
def letters(family: str, size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """A font of :func:`~pipeline_lib.pictures.fonts.font_families`, ``size`` pixels high."""
    weight = "bold" if bold else "normal"
    found = font_manager.findfont(font_manager.FontProperties(family=[family], weight=weight))
    return ImageFont.truetype(found, size)


def wrapped(text: str, font: ImageFont.FreeTypeFont, width: float) -> Iterator[str]:
    """Lines that fit; broken at spaces, and inside a word that is too long for a line."""
    line = ""
    for word in " ".join(text.split()).split(" "):
        joined = f"{line} {word}".strip()
        if font.getlength(joined) <= width:
            line = joined
            continue
        if line:
            yield line
        while font.getlength(word) > width:
            fits = len(word)
            while fits > 1 and font.getlength(word[:fits]) > width:
                fits -= 1
            yield word[:fits]
            word = word[fits:]
        line = word
    yield line


def fitted(picture: Path | NDArray[np.uint8], width: int, height: int) -> Image.Image:
    """A picture file, or pixels uint8 [H, W, 3], as large as fits into a box."""
    if isinstance(picture, Path):
        with Image.open(picture) as opened:
            image = opened.convert("RGB")
    else:
        image = Image.fromarray(picture)
    scale = min(width / image.width, height / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    # Much larger pictures are halved first, which no eye tells and takes a third of the time.
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)

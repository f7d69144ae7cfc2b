"""Pictures inside the page: scaled, re-encoded, and written into it as text."""

import base64
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pipeline_lib.errors import DataError

# The same pixels give the same bytes.
_PHOTO = {"quality": 80, "method": 4}
_DRAWN = {"lossless": True, "quality": 80, "method": 4}


@dataclass(frozen=True)
class Picture:
    """A picture of the page.

    Attributes:
        uri: The whole picture as an address: ``data:image/webp;base64,…``.
        width: In pixels.
        height: In pixels.
    """

    uri: str
    width: int
    height: int


def encode(path: Path, width: int, *, drawn: bool = False) -> Picture:
    """A picture file for the page.

    Args:
        path: The file.
        width: Wider pictures are scaled down to so many pixels.
        drawn: It holds lines and letters rather than photographs: nothing is lost then.

    Raises:
        DataError: The file is missing or no readable picture.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                pixels = image.convert("RGB")
    except FileNotFoundError:
        raise DataError(f"{path}: no such picture.", hint="Draw it again: `dvc repro`.") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{path}: not a readable picture: {error}", hint="Draw it again: `dvc repro`."
        ) from None
    return embed(fitted(pixels, width), drawn=drawn)


def fitted(image: Image.Image, width: int) -> Image.Image:
    """The image, scaled down where it is wider than ``width`` pixels."""
    if image.width <= width:
        return image
    height = max(1, round(image.height * width / image.width))
    return image.resize((width, height), Image.Resampling.LANCZOS)


def embed(image: Image.Image, *, drawn: bool = False) -> Picture:
    """An image as an address that holds it.

    Args:
        image: RGB.
        drawn: As in :func:`encode`.
    """
    content = io.BytesIO()
    image.save(content, format="WEBP", **(_DRAWN if drawn else _PHOTO))
    text = base64.b64encode(content.getvalue()).decode("ascii")
    return Picture(f"data:image/webp;base64,{text}", image.width, image.height)

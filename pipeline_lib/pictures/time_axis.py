"""Where the time axis of a picture lies, written into the picture for whoever sets things to it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from pipeline_lib.errors import DataError

# Keyword of the PNG's text chunk.
KEYWORD = "Clipline-Time-Axis"


@dataclass(frozen=True)
class TimeAxis:
    """A horizontal axis from 0 to ``seconds``.

    Attributes:
        left: Where it begins, in pixels from the left.
        right: Where it ends.
        width: Of the picture, in pixels.
        seconds: Time at its end.
    """

    left: float
    right: float
    width: float
    seconds: float

    def as_texts(self) -> dict[str, str]:
        """Text chunks of a PNG that say so."""
        return {KEYWORD: json.dumps(asdict(self))}


def read_time_axis(path: Path) -> TimeAxis:
    """The time axis that a picture was drawn with.

    Args:
        path: A PNG that was saved with :meth:`TimeAxis.as_texts`.

    Raises:
        DataError: The file is no readable picture, or does not say where its axis is.
    """
    try:
        with Image.open(path) as image:
            image.load()  # chunks behind the pixels, too
            words = image.info.get(KEYWORD)
    except (OSError, UnidentifiedImageError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a readable picture: {error}") from None
    try:
        axis = TimeAxis(**{name: float(value) for name, value in json.loads(words or "").items()})
    except (ValueError, TypeError, AttributeError):
        raise DataError(
            f"{path}: does not say where its time axis lies.",
            hint="Draw it again with this version: `dvc repro evaluate-coop`.",
        ) from None
    if not (0 <= axis.left < axis.right <= axis.width and axis.seconds > 0):
        raise DataError(f"{path}: its time axis cannot be: {axis}.")
    return axis

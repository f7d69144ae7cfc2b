"""What all figures share: colours, texts of any script, and PNG files of equal bytes."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from unicodedata import east_asian_width

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline_lib.storage.atomic import replacing

# Okabe and Ito's colours, told apart by colour-blind readers too.
ORANGE = "#e69f00"
SKY = "#56b4e9"
GREEN = "#009e73"
BLUE = "#0072b2"
VERMILION = "#d55e00"
PURPLE = "#cc79a7"
GREY = "#999999"
INK = "#303030"
FAINT = "#e6e6e6"

EVENT_COLOUR = VERMILION
NORMAL_COLOUR = BLUE
CLASS_COLOUR = ORANGE


def new_figure(width: float, height: float, dpi: int = 100) -> Figure:
    """An empty figure, ``width`` by ``height`` inches, drawn by Agg."""
    figure = Figure(figsize=(width, height), dpi=dpi)
    FigureCanvasAgg(figure)
    return figure


@contextmanager
def plain_texts() -> Iterator[None]:
    """Texts made within show a dollar sign as one: names of classes and videos are no formulas."""
    with rc_context({"text.parse_math": False}):
        yield


def save_png(figure: Figure, path: Path, texts: Mapping[str, str] | None = None) -> None:
    """Write a figure; the same figure gives the same bytes.

    Args:
        figure: From :func:`new_figure`.
        path: The PNG to write.
        texts: Facts that go into the file as text chunks, keyword to words.
    """
    with replacing(path) as temporary, warnings.catch_warnings():
        # Where no installed font has a character a box stands for it; the tables have the name.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        # matplotlib writes its version into the file unless told not to.
        figure.savefig(temporary, format="png", metadata={"Software": None, **(texts or {})})


def columns(text: str) -> int:
    """Width of ``text`` in letters; East Asian ones take the room of two."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def shortened(text: str, most: int) -> str:
    """``text``, its middle left out where it is wider than ``most`` letters."""
    if columns(text) <= most:
        return text
    head, tail = text[: len(text) // 2], text[len(text) // 2 :]
    while columns(head) + columns(tail) >= most:
        head, tail = (head[:-1], tail) if columns(head) > columns(tail) else (head, tail[1:])
    return f"{head}…{tail}"


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> np.ndarray:
    """Places for labels: in the order of ``wanted``, near it and at least ``gap`` apart.

    Args:
        wanted: Where each label would stand if it were alone, [n].
        gap: Smallest distance of two labels.
        low: No label stands lower.
        high: No label stands higher, unless they need more room than there is.

    Returns:
        Places, float [n].
    """
    places = np.asarray(wanted, float)
    if not len(places):
        return places
    order = np.argsort(places, kind="stable")
    steps = gap * np.arange(len(order))
    # With the gaps taken out, labels only have to ascend: half way between the two tightest ways.
    level = np.clip(places[order], low, high) - steps
    pushed_up = np.maximum.accumulate(level)
    pushed_down = np.minimum.accumulate(level[::-1])[::-1]
    top = max(high - steps[-1], low)
    places[order] = np.clip((pushed_up + pushed_down) / 2, low, top) + steps
    return places

"""One number of a model and of its controls, as bars below each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline_lib.errors import DataError
from pipeline_lib.pictures.figures import (
    BLUE,
    FAINT,
    GREY,
    INK,
    ORANGE,
    columns,
    new_figure,
    plain_texts,
    save_png,
)
from pipeline_lib.pictures.fonts import font_families

_ROW, _EDGES = 0.42, 1.35  # inches: of a bar, and above and below all of them
_WIDTH, _LETTER = 7.6, 0.085
_THICK = 0.62
_ROOM = 1.3  # for the words behind the longest bar


@dataclass(frozen=True)
class Bar:
    """One contender.

    Attributes:
        name: What it is called.
        value: Its number; ``None`` where undefined.
        error: Standard error of it; ``None`` where unknown.
        mark: Another number of the same kind, drawn as a diamond; ``None`` draws none.
    """

    name: str
    value: float | None
    error: float | None = None
    mark: float | None = None


def draw_contender_bars(
    path: Path, bars: Sequence[Bar], title: str, across: str, *, mark: str = "", most: float = 0.0
) -> None:
    """Write bars of numbers that are not negative; the same input gives the same bytes.

    Args:
        path: The PNG to write.
        bars: The model first, then its controls.
        title: Text above them.
        across: What the numbers are.
        mark: What the diamonds are.
        most: The largest number there can be, where the axis ends; 0 leaves it to the numbers.

    Raises:
        DataError: No number is defined.
    """
    if all(bar.value is None for bar in bars):
        raise DataError("No contender has a number to draw.")
    names = [bar.name.replace("_", " ") for bar in bars]
    height = _EDGES + _ROW * len(bars)
    left = 0.3 + _LETTER * max(map(columns, names))
    figure = new_figure(_WIDTH, height)
    fonts = font_families([title, *names])
    with plain_texts():
        box = (left / _WIDTH, 0.65 / height, 0.97 - left / _WIDTH, _ROW * len(bars) / height)
        axes = figure.add_axes(box)
        _frame(axes, names, fonts, across)
        for place, bar in enumerate(bars):
            _draw(axes, place, bar, BLUE if place == 0 else GREY)
        axes.set_xlim(0, max(most, _ROOM * max(_reach(bar) for bar in bars)))
        if most:  # what lies beyond is room for words
            axes.set_xticks([tick for tick in axes.get_xticks() if 0 <= tick <= most])
        axes.set_ylim(len(bars) - 0.5, -0.5)
        if any(bar.mark is not None for bar in bars):
            _name_mark(figure, mark, 0.2 / height)
        figure.text(0.15 / _WIDTH, 1 - 0.3 / height, title, va="center", fontsize=11, family=fonts)
    save_png(figure, path)


def _name_mark(figure: Figure, mark: str, upwards: float) -> None:
    """What the diamonds are, on the right below the bars."""
    beside = 0.975 - 0.8 * _LETTER * columns(mark) / _WIDTH
    for words, across, colour in ((mark, 0.985, INK), ("◆", beside, ORANGE)):
        figure.text(across, upwards, words, ha="right", va="center", fontsize=9, color=colour)


def _reach(bar: Bar) -> float:
    return max((bar.value or 0.0) + (bar.error or 0.0), bar.mark or 0.0, 1e-12)


def _draw(axes: Axes, place: int, bar: Bar, colour: str) -> None:
    if bar.value is None:
        axes.text(0, place, " undefined", va="center", fontsize=9, color=INK)
        return
    axes.barh(place, bar.value, _THICK, color=colour, zorder=2)
    if bar.error:
        axes.errorbar(
            bar.value, place, xerr=bar.error, fmt="none", ecolor=INK, elinewidth=1.1, capsize=3,
            zorder=3,
        )  # fmt: skip
    if bar.mark is not None:
        axes.plot(bar.mark, place, "D", color=ORANGE, markeredgecolor=INK, markersize=5.5, zorder=4)
    words = f"{bar.value:.3g}" + (f" ± {bar.error:.2g}" if bar.error else "")
    axes.annotate(
        words, (_reach(bar), place), xytext=(7, 0), textcoords="offset points", va="center",
        fontsize=9, color=INK,
    )  # fmt: skip


def _frame(axes: Axes, names: Sequence[str], fonts: Sequence[str], across: str) -> None:
    axes.set_yticks(range(len(names)), names, family=list(fonts), fontsize=9)
    axes.tick_params(labelsize=9, length=0)
    axes.set_xlabel(across, fontsize=9)
    axes.grid(axis="x", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)

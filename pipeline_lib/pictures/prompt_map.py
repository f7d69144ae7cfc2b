"""A map of windows and prompts: which prompt lies where among the windows of its class."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from pipeline_lib.errors import DataError
from pipeline_lib.pictures.figures import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    columns,
    new_figure,
    plain_texts,
    save_png,
    shortened,
)
from pipeline_lib.pictures.fonts import font_families
from pipeline_lib.runtime.seeding import numpy_stream

_MOST_WINDOWS = 600
_PERPLEXITY = 30.0
_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY, INK)
_MARKERS = ("o", "^", "s", "D", "v")
# In pixels.
_SIDE = 640.0
_EDGE = 44.0
_TITLES = 62.0
_LEGEND = 240.0
_LINE = 14.0
_LETTER = 7.0  # width of one, at most about
_AWAY = (12.0, 30.0, 48.0)  # of a label from its prompt
_LEGEND_LINES = 34
_LONGEST_NAME = 24
_SUBTITLE = "windows, learned prompts and plain prompts each centred on their own mean"


def draw_prompt_map(
    path: Path,
    features: np.ndarray,
    labels: np.ndarray,
    learned: np.ndarray,
    zero_shot: np.ndarray,
    class_names: Sequence[str],
    seed: int,
) -> None:
    """Write a t-SNE map of windows, learned prompts and plain prompts.

    Images and texts lie in separate regions of CLIP's space (the modality gap, Liang et al.,
    NeurIPS 2022), so each of the three is centred on its own mean first, windows on the mean of
    their class means; directions are compared. Such a shift of the prompts moves the logits of all
    classes alike and changes no prediction. The same input gives the same bytes, whatever the
    number of threads.

    Args:
        path: The PNG to write.
        features: Window features, float [n, D]; at most 600 are drawn, evenly per class.
        labels: Class index of each window, int [n].
        learned: Text features of the learned prompts, float [C, D].
        zero_shot: Text features of the plain prompts, float [C, D].
        class_names: The C names.
        seed: Chooses the windows and the map's random state.

    Raises:
        DataError: There is no window, there are fewer than two classes, or features and prompts
            differ in width.
    """
    if not len(features):
        raise DataError("A map of prompts needs windows, but there is none.")
    if len(class_names) < 2:
        raise DataError("A map of prompts needs two classes: one prompt has no place of its own.")
    widths = {part.shape[1] for part in (features, learned, zero_shot)}
    if len(widths) > 1:
        raise DataError(f"Windows and prompts differ in width: {sorted(widths)} numbers a feature.")
    chosen = _evenly(labels, _MOST_WINDOWS, seed)
    drawn = labels[chosen]
    places = _placed(features[chosen], drawn, learned, zero_shot, seed)
    names = [shortened(name, _LONGEST_NAME) for name in class_names]
    fonts = font_families(names)
    legend_columns = -(-(len(names) + 2) // _LEGEND_LINES)
    width, height = _SIDE + legend_columns * _LEGEND, _SIDE + _TITLES
    figure = new_figure(width / 100, height / 100)
    axes = figure.add_axes((0.0, 0.0, _SIDE / width, _SIDE / height))
    axes.set(xlim=(0, _SIDE), ylim=(0, _SIDE), xticks=[], yticks=[], frame_on=False)
    axes.set_autoscale_on(False)
    with plain_texts():
        handles = [*_draw_windows(axes, places[0], drawn, names), *_draw_prompts(axes, *places[1:])]
        _draw_names(axes, places, names, fonts)
        axes.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(1.0, 1.0),
            ncols=legend_columns,
            frameon=False,
            alignment="left",
            title="class (windows drawn)",
            title_fontproperties={"size": 9, "weight": "bold"},
            prop={"family": fonts, "size": 9},
        )
        said = f"t-SNE of {len(chosen)} of {len(features)} windows and of the prompts"
        axes.text(16, _SIDE + 42, said, va="center", fontsize=11)
        axes.text(16, _SIDE + 20, _SUBTITLE, va="center", fontsize=9)
    save_png(figure, path)


def _evenly(labels: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Ascending rows of at most ``most`` windows, as many of each class as there is room for."""
    counts = np.bincount(labels)
    # Round by round every class that has windows left gives one.
    rounds = np.sort(np.concatenate([np.arange(count) for count in counts]))[:most]
    last = rounds[-1]
    quota = np.minimum(counts, last)
    left = np.flatnonzero(counts > last)[: len(rounds) - quota.sum()]
    quota[left] += 1
    draw = numpy_stream(seed, "prompt map")
    rows = [
        draw.permutation(np.flatnonzero(labels == label))[:room] for label, room in enumerate(quota)
    ]
    return np.sort(np.concatenate(rows))


def _placed(
    features: np.ndarray,
    labels: np.ndarray,
    learned: np.ndarray,
    zero_shot: np.ndarray,
    seed: int,
) -> list[np.ndarray]:
    """Places of windows, learned and plain prompts on the picture, float [n, 2] each."""
    middle = np.mean(
        [features[labels == label].mean(axis=0) for label in np.unique(labels)], axis=0
    )
    directions = np.concatenate(
        [
            _directions(features - middle),
            _directions(learned - learned.mean(axis=0)),
            _directions(zero_shot - zero_shot.mean(axis=0)),
        ]
    )
    tsne = TSNE(
        2,
        init="pca",
        perplexity=min(_PERPLEXITY, (len(directions) - 1) / 3),
        random_state=seed,
    )
    # The sums of several threads depend on how many they are.
    with threadpool_limits(1):
        found = tsne.fit_transform(directions)
    low, high = found.min(axis=0), found.max(axis=0)
    scale = (_SIDE - 2 * _EDGE) / max(float((high - low).max()), 1e-9)
    return np.split(
        _SIDE / 2 + scale * (found - (low + high) / 2),
        [len(features), len(features) + len(learned)],
    )


def _directions(vectors: np.ndarray) -> np.ndarray:
    """Of unit length; a vector of length 0 has no direction and stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), np.float32)


def _draw_windows(
    axes: Axes, places: np.ndarray, labels: np.ndarray, names: Sequence[str]
) -> Iterator[Line2D]:
    """Small marks; yields the legend's entry of each class."""
    for label, name in enumerate(names):
        of_class = places[labels == label]
        marker = _MARKERS[label // len(_COLOURS) % len(_MARKERS)]
        style: dict[str, Any] = {"color": _colour(label), "marker": marker, "linestyle": "none"}
        axes.plot(*of_class.T, markersize=4, alpha=0.55, markeredgewidth=0, **style)
        yield Line2D([], [], markersize=6, label=f"{name} ({len(of_class)})", **style)


def _draw_prompts(axes: Axes, learned: np.ndarray, plain: np.ndarray) -> Iterator[Line2D]:
    """Filled marks and rings, joined by a line; yields the legend's entries."""
    for label, ends in enumerate(zip(plain, learned, strict=True)):
        axes.plot(*np.array(ends).T, color=_colour(label), linewidth=0.9, alpha=0.7)
    filled: dict[str, Any] = {"markersize": 11, "markeredgecolor": INK, "markeredgewidth": 1.3}
    # A ring is seen around a filled mark at the same place, too.
    hollow: dict[str, Any] = {"markersize": 17, "markerfacecolor": "none", "markeredgewidth": 1.8}
    for places, style in ((learned, filled), (plain, hollow)):
        for label, place in enumerate(places):
            axes.plot(*place[:, None], marker="o", color=_colour(label), **style)
    for words, style in (("learned prompt", filled), ("plain prompt", hollow)):
        style = {**style, "markersize": 10, "linestyle": "none"}
        yield Line2D([], [], marker="o", color=GREY, label=words, **style)


def _draw_names(
    axes: Axes, places: Sequence[np.ndarray], names: Sequence[str], fonts: Sequence[str]
) -> None:
    """The class beside each learned prompt, where it covers least."""
    taken: list[np.ndarray] = []
    marks = np.concatenate(places[1:])
    for name, place in zip(names, places[1], strict=True):
        size = np.array([_LETTER * columns(name), _LINE])
        boxes = [np.stack([corner, corner + size]) for corner in _corners(place, size)]
        costs = [_covered(box, taken, marks, places[0]) for box in boxes]
        box = boxes[int(np.argmin(costs))]
        taken.append(box)
        across, upwards = box.mean(axis=0)
        axes.plot([place[0], across], [place[1], upwards], color=INK, linewidth=0.6)
        axes.text(
            across,
            upwards,
            name,
            ha="center",
            va="center",
            fontsize=9,
            color=INK,
            family=list(fonts),
            bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1.0},
        )


def _corners(place: np.ndarray, size: np.ndarray) -> Iterator[np.ndarray]:
    """Lower left corners of a label around its prompt: beside it, above and below, further off."""
    for away in _AWAY:
        for across, upwards in (
            (1, 0),
            (-1, 0),
            (0, 1),
            (0, -1),
            (1, 1),
            (-1, 1),
            (1, -1),
            (-1, -1),
        ):
            direction = np.array([across, upwards])
            yield place - size / 2 + direction * (size / 2 + away)


def _covered(
    box: np.ndarray, taken: Sequence[np.ndarray], marks: np.ndarray, windows: np.ndarray
) -> float:
    """How much a label would hide: most of all other labels, then prompts, then windows."""
    outside = float(np.maximum(-box, box - _SIDE).clip(min=0).sum())
    overlaps = [np.minimum(box[1], other[1]) - np.maximum(box[0], other[0]) for other in taken]
    hidden = sum(float(both.prod()) for both in overlaps if (both > 0).all())
    return 100 * outside + 10 * hidden + 300 * _within(box, marks, 8.0) + _within(box, windows, 2.0)


def _within(box: np.ndarray, points: np.ndarray, radius: float) -> int:
    return int(((points > box[0] - radius) & (points < box[1] + radius)).all(axis=1).sum())


def _colour(label: int) -> str:
    return _COLOURS[label % len(_COLOURS)]

"""Plots of the last split: tables for DVC, curves, and pictures of single items."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline_lib.config import EvaluatePosNegConfig
from pipeline_lib.evaluation.pos_neg.choosers import CHOOSERS, FINE_TUNED, ZERO_SHOT
from pipeline_lib.evaluation.pos_neg.tree import chooser_sim_m
from pipeline_lib.evaluation.pos_neg.watching import ChosenFrames, MeasuredItem
from pipeline_lib.metrics.frame_choice import cut_timeline
from pipeline_lib.metrics.frame_recall import frame_precision, frame_recall
from pipeline_lib.pictures.figures import BLUE, GREEN, ORANGE
from pipeline_lib.pictures.sim_m_curve import draw_recall_at_k, draw_sim_m
from pipeline_lib.pictures.strip import StripRow, StripTile, draw_strip
from pipeline_lib.storage.directories import replacing_directory
from pipeline_lib.storage.tables import write_csv
from pipeline_lib.video.reader import read_frames

# Of the curve over m, beside the thresholds that are reported.
_GRID = np.round(np.arange(0.8, 1.0001, 0.005), 3)


GAIN, LOSS = "among the largest gains", "among the largest losses"
SPREAD = "an example of this caption"


@dataclass(frozen=True)
class Example:
    """An item to draw.

    Attributes:
        measured: The item and everybody's frames.
        reason: Why it was taken: ``GAIN``, ``LOSS`` or ``SPREAD``.
    """

    measured: MeasuredItem
    reason: str


def draw_plots(
    folder: Path,
    split: str,
    measured: Sequence[MeasuredItem],
    tree: dict[str, Any],
    config: EvaluatePosNegConfig,
    thresholds: Sequence[float],
) -> None:
    """Write tables for DVC's plots, and pictures.

    * ``sim_m.csv`` and ``sim_m.png``: a row a threshold ``m`` and a column a chooser.
    * ``recall_at_k.csv`` and ``recall_at_k.png``: a row a number of chosen frames ``k``.
    * ``top_frames/<id>.png``: the frames before and after fine-tuning, and the true ones.

    Args:
        folder: Where to.
        split: Its name.
        measured: Its items, at least one.
        tree: Its metrics.
        config: How frames were chosen.
        thresholds: The reported values of m.
    """
    steps = sorted({*_GRID.tolist(), *thresholds})
    sim = pd.DataFrame(
        {"m": steps, **{name: chooser_sim_m(measured, name, steps) for name in CHOOSERS}}
    )
    write_csv(folder / "sim_m.csv", sim)
    counts = sorted(set(config.recall_at))
    trees = {FINE_TUNED: tree, **tree["control"]}
    recall = pd.DataFrame(
        {"k": counts}
        | {name: [trees[name]["recall"][f"at_{k}"] for k in counts] for name in CHOOSERS}
    )
    write_csv(folder / "recall_at_k.csv", recall)
    of = f"{len(measured)} questions of {len({one.item.video for one in measured})} videos"
    title = f"{split}: similarity of {config.k} chosen frames to the true ones, {of}"
    draw_sim_m(folder / "sim_m.png", sim, title, thresholds=thresholds)
    title = f"{split}: support times with a chosen frame within {config.tolerance_s:g} s, {of}"
    draw_recall_at_k(folder / "recall_at_k.png", recall, title, k=config.k)
    _draw_examples(folder / "top_frames", measured, config)


def _draw_examples(
    folder: Path, measured: Sequence[MeasuredItem], config: EvaluatePosNegConfig
) -> None:
    with replacing_directory(folder) as made:
        for example in pick_examples(measured, config.examples, config.tolerance_s):
            _draw_example(made / f"{example.measured.item.id}.png", example, config)


def _draw_example(path: Path, example: Example, config: EvaluatePosNegConfig) -> None:
    measured, item = example.measured, example.measured.item
    (after,), (before,) = measured.of(FINE_TUNED), measured.of(ZERO_SHOT)
    times = sorted({*after.pts_s.tolist(), *before.pts_s.tolist(), *item.support_s})
    frames = read_frames(item.path, times)
    images = dict(zip(times, frames.frames, strict=True))
    found = [_recall(measured, chosen, config.tolerance_s) for chosen in (before, after)]
    labels = [
        f"{words}: finds {share:.0%} of the true moments"
        for words, share in zip(("before fine-tuning", "fine-tuned"), found, strict=True)
    ]
    parts = cut_timeline(len(measured.pts_s), config.k, config.segments)
    draw_strip(
        path,
        item.caption,
        [
            _row(labels[0], before, measured, images, ORANGE, config),
            _row(labels[1], after, measured, images, BLUE, config),
            _true_row(item.support_s, images),
        ],
        length_s=measured.duration_s,
        moments_s=item.support_s,
        tolerance_s=config.tolerance_s,
        parts_s=[float(measured.pts_s[start]) for start, _ in parts[1:]],
        source=f"{item.id}  ·  {item.video_path}  ·  {example.reason}",
    )


def _row(
    label: str,
    frames: ChosenFrames,
    measured: MeasuredItem,
    images: dict[float, NDArray[np.uint8]],
    colour: str,
    config: EvaluatePosNegConfig,
) -> StripRow:
    scores = frames.scores if frames.scores is not None else np.full(len(frames.pts_s), np.nan)
    tiles = [
        StripTile(
            images[float(time)],
            float(time),
            f"cosine {score:.3f}",
            frame_precision([time], measured.item.support_s, config.tolerance_s) == 1.0,
        )
        for time, score in zip(frames.pts_s, scores, strict=True)
    ]
    return StripRow(label, tiles, measured.pts_s, measured.curves[frames.chooser], colour)


def _true_row(moments: Sequence[float], images: dict[float, NDArray[np.uint8]]) -> StripRow:
    return StripRow(
        "true frames", [StripTile(images[time], time) for time in moments], (), (), GREEN
    )


def pick_examples(measured: Sequence[MeasuredItem], most: int, tolerance_s: float) -> list[Example]:
    """At most ``most`` items: up to half that gained or lost most, the others over all captions.

    An item gained where more of its moments were found than before; of equals, where the true
    frame that was missed most looks more like a chosen one.

    Args:
        measured: Items of one split, sorted by id.
        most: Pictures wanted.
        tolerance_s: A moment is found by a frame at most this far away.
    """
    gain = {one.item.id: _gain(one, tolerance_s) for one in measured}
    ranked = sorted(measured, key=lambda one: (gain[one.item.id], one.item.id))
    losses = [one for one in ranked if gain[one.item.id] < (0.0, 0.0)]
    gains = [one for one in reversed(ranked) if gain[one.item.id] > (0.0, 0.0)]
    half = most // 2
    examples = [Example(one, GAIN) for one in gains[: (half + 1) // 2]]
    examples += [Example(one, LOSS) for one in losses[: half // 2]]
    taken = {example.measured.item.id for example in examples}
    left = [one for one in measured if one.item.id not in taken]
    examples += [Example(one, SPREAD) for one in _over_captions(left, most - len(examples))]
    return examples


def _recall(measured: MeasuredItem, frames: ChosenFrames, tolerance_s: float) -> float:
    """Of the frames that are drawn; the item has true frames."""
    return frame_recall(frames.pts_s, measured.item.support_s, tolerance_s) or 0.0


def _gain(measured: MeasuredItem, tolerance_s: float) -> tuple[float, float]:
    (after,), (before,) = measured.of(FINE_TUNED), measured.of(ZERO_SHOT)
    more = _recall(measured, after, tolerance_s) - _recall(measured, before, tolerance_s)
    return more, (after.weakest_match or 0.0) - (before.weakest_match or 0.0)


def _over_captions(measured: Sequence[MeasuredItem], most: int) -> list[MeasuredItem]:
    """The first item of every caption, then the second, until there are enough."""
    of_caption: defaultdict[str, list[MeasuredItem]] = defaultdict(list)
    for one in measured:
        of_caption[one.item.caption].append(one)
    turns = sorted(
        (turn, caption) for caption, found in of_caption.items() for turn in range(len(found))
    )
    return [of_caption[caption][turn] for turn, caption in turns[:most]]

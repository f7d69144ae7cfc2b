"""Plots of the last split: tables for DVC, curves, and pictures of single items."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline_lib.config import EvaluatePosNegConfig
from pipeline_lib.evaluation.pos_neg.choosers import CHOOSERS, FINE_TUNED, ZERO_SHOT
from pipeline_lib.evaluation.pos_neg.examples import Example, pick_examples, recall_at_k
from pipeline_lib.evaluation.pos_neg.tree import chooser_sim_m
from pipeline_lib.evaluation.pos_neg.watching import ChosenFrames, MeasuredItem
from pipeline_lib.metrics.frame_choice import cut_timeline
from pipeline_lib.metrics.frame_recall import frame_precision
from pipeline_lib.pictures.figures import BLUE, GREEN, ORANGE
from pipeline_lib.pictures.sim_m_curve import draw_recall_at_k, draw_sim_m
from pipeline_lib.pictures.strip import StripRow, StripTile, draw_strip
from pipeline_lib.storage.directories import replacing_directory
from pipeline_lib.storage.tables import write_csv
from pipeline_lib.video.reader import read_frames

# Of the curve over m, beside the thresholds that are reported.
_GRID = np.round(np.arange(0.8, 1.0001, 0.005), 3)


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
    of = f"{len(measured)} questions of {len({item.item.video for item in measured})} videos"
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
            _draw_example(made / f"{example.item.item.id}.png", example, config)


def _draw_example(path: Path, example: Example, config: EvaluatePosNegConfig) -> None:
    measured, item = example.item, example.item.item
    (after,), (before,) = measured.of(FINE_TUNED), measured.of(ZERO_SHOT)
    times = sorted({*after.pts_s.tolist(), *before.pts_s.tolist(), *item.support_s})
    frames = read_frames(item.path, times)
    images = dict(zip(times, frames.frames, strict=True))
    found = [recall_at_k(measured, chosen, config.tolerance_s) for chosen in (before, after)]
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

"""Plots of the last split: tables for DVC, curves, and what single captions find."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline_lib.config import EvaluateTempMeStopConfig
from pipeline_lib.datasets.video_text.items import VideoItem
from pipeline_lib.evaluation.tempme_stop.scores import CONTROLS, TRAINED, ZERO_SHOT
from pipeline_lib.evaluation.tempme_stop.tree import MeasuredSplit
from pipeline_lib.metrics.retrieval import DIRECTIONS, caption_key
from pipeline_lib.pictures.found_videos import FoundVideo, draw_found_videos
from pipeline_lib.pictures.retrieval_curves import draw_retrieval_recall
from pipeline_lib.storage.directories import replacing_directory
from pipeline_lib.storage.tables import write_csv
from pipeline_lib.video.reader import read_frames
from pipeline_lib.video.sampling import sample_times, segment_bounds, video_length_s

_RANKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_SHOWN, _FRAMES = 5, 6  # videos of a caption, frames of each
_PANELS = {"t2v": "texts find videos", "v2t": "videos find texts"}
GAIN, LOSS, SPREAD = "among the largest gains", "among the largest losses", "an example"


@dataclass(frozen=True)
class Example:
    """A text to draw.

    Attributes:
        text: Its row.
        reason: Why it was taken: ``GAIN``, ``LOSS`` or ``SPREAD``.
    """

    text: int
    reason: str


def draw_plots(folder: Path, measured: MeasuredSplit, config: EvaluateTempMeStopConfig) -> None:
    """Write tables for DVC's plots, and pictures.

    * ``recall_t2v.csv`` and ``recall_v2t.csv``: a row a rank ``k`` and a column a contender, in
      per cent; ``recall.png`` shows both.
    * ``found/<row>.png``: what a text finds, first its best videos.

    Args:
        folder: Where to.
        measured: The split.
        config: The reported ranks and the number of pictures.
    """
    data = measured.scores.data
    panels = {_PANELS[way]: _recalls(measured, way, config.recall_at) for way in DIRECTIONS}
    for way, table in zip(DIRECTIONS, panels.values(), strict=True):
        write_csv(folder / f"recall_{way}.csv", table)
    title = f"{measured.scores.split}: {len(data.texts)} texts, {len(data.videos)} videos"
    draw_retrieval_recall(folder / "recall.png", panels, title)
    with replacing_directory(folder / "found") as made:
        for example in pick_examples(measured, config.examples):
            _draw_example(made / f"{example.text:05d}.png", example, measured)


def _recalls(measured: MeasuredSplit, direction: str, reported: Sequence[int]) -> pd.DataFrame:
    """Recall at round ranks and the reported ones, up to the gallery."""
    data = measured.scores.data
    gallery = len(data.videos)
    ranks = sorted({k for k in (*_RANKS, *reported) if k <= gallery})
    found = {name: measured.metrics(name, ranks) for name in (TRAINED, *CONTROLS)}
    columns = {
        name: [metrics[f"{direction}_r{k}"] for k in ranks] for name, metrics in found.items()
    }
    return pd.DataFrame({"k": ranks, **columns})


def pick_examples(measured: MeasuredSplit, most: int) -> list[Example]:
    """At most ``most`` texts: up to half whose rank changed most, the others over all captions.

    A text gained where its rank is better than the plain CLIP's, more so from 20 to 1 than from
    200 to 181: ranks are compared by their ratio.

    Args:
        measured: The split.
        most: Pictures wanted.
    """
    (after,), (before,) = measured.ranks[TRAINED], measured.ranks[ZERO_SHOT]
    gain = np.log(before.t2v) - np.log(after.t2v)
    order = np.argsort(-gain, kind="stable").tolist()
    half = most // 2
    examples = [Example(row, GAIN) for row in order[: (half + 1) // 2] if gain[row] > 0]
    losses = [row for row in reversed(order) if gain[row] < 0]
    examples += [Example(row, LOSS) for row in losses[: half // 2]]
    taken = {example.text for example in examples}
    left = [row for row in range(len(gain)) if row not in taken]
    spread = _over_captions(left, measured.scores.data.texts, most - len(examples))
    return examples + [Example(row, SPREAD) for row in spread]


def _over_captions(rows: Sequence[int], texts: Sequence[str], most: int) -> list[int]:
    """Texts at even distances, of each caption the first one before any second one."""
    of_caption: defaultdict[str, list[int]] = defaultdict(list)
    for row in rows:
        of_caption[caption_key(texts[row])].append(row)
    first = [found[0] for found in of_caption.values()]
    more = [row for found in of_caption.values() for row in found[1:]]
    if len(first) < most:
        return sorted(first + more[: most - len(first)])
    return [first[number * len(first) // most] for number in range(most)]


def _draw_example(path: Path, example: Example, measured: MeasuredSplit) -> None:
    """Its best videos, and below them the best one that belongs to it, if it is not among them."""
    scores, data = measured.scores, measured.scores.data
    row = scores.similarity[TRAINED][example.text]
    right = measured.match[example.text]
    # Of equals the right ones first, as ranks are counted.
    order = np.lexsort((np.arange(len(row)), ~right, -row)).tolist()
    shown = order[:_SHOWN]
    if not right[shown].any():
        shown.append(next(video for video in order if right[video]))
    rank, before = (measured.ranks[name][0].t2v[example.text] for name in (TRAINED, ZERO_SHOT))
    videos = [
        FoundVideo(
            rank=order.index(video) + 1,
            name=data.videos[video].id,
            score=float(row[video]),
            note=_first_caption(measured, video),
            frames=_frames(data.videos[video]),
            right=bool(right[video]),
        )
        for video in shown
    ]
    source = f"{scores.split}  ·  rank {rank} (plain CLIP: {before})  ·  {example.reason}"
    draw_found_videos(path, data.texts[example.text], videos, source)


def _first_caption(measured: MeasuredSplit, video: int) -> str:
    data = measured.scores.data
    rows = np.flatnonzero(data.video_of_text == video)
    return data.texts[rows[0]] if len(rows) else ""


def _frames(video: VideoItem) -> list[NDArray[np.uint8]]:
    bounds = segment_bounds(video.path, video.segment(), video_length_s(video.path))
    return list(read_frames(video.path, sample_times(_FRAMES, *bounds).tolist()).frames)

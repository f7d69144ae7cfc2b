"""Scoring the frames of a video for captions and choosing among them, without keeping pixels."""

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.backbones.caption_length import tokens_cut
from pipeline_lib.backbones.clip import ClipBackbone
from pipeline_lib.backbones.video_embedding import (
    embed_video,
    rounded_cosines,
    squash_image,
    unit_rows,
)
from pipeline_lib.datasets.asked_words import require_words
from pipeline_lib.errors import VideoError
from pipeline_lib.metrics.frame_choice import choose_frames, cut_timeline
from pipeline_lib.top_frames.options import ChoiceOptions
from pipeline_lib.video.reader import open_video

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ranking:
    """The scores of a video for one caption, and the frames that were chosen by them.

    Attributes:
        caption: What was looked for.
        times_s: float64 [n], when each sampled frame is first shown, seconds.
        source_index: int64 [n], its index among all frames of the video.
        scores: float64 [n], its cosine with the caption.
        segment: int64 [n], the part of the timeline it belongs to, from 0.
        chosen: int64 [m], positions of the chosen frames among the sampled ones, ascending.
        rank: int64 [m], 1 for the chosen frame with the best score.
        duration_s: Length of the video.
    """

    caption: str
    times_s: NDArray[np.float64]
    source_index: NDArray[np.int64]
    scores: NDArray[np.float64]
    segment: NDArray[np.int64]
    chosen: NDArray[np.int64]
    rank: NDArray[np.int64]
    duration_s: float


def check_caption(caption: str) -> None:
    """Refuse a caption without words; see :func:`.asked_words.require_words`."""
    require_words(caption, "caption", "a red circle moves left")


def embed_captions(model: ClipBackbone, captions: Sequence[str]) -> NDArray[np.float32]:
    """The directions of captions in the space of ``model``.

    A caption that is longer than the model reads is cut, with a warning that says by how much.

    Returns:
        float32 [n, D], rows of length 1.

    Raises:
        DataError: A caption is blank.
        WeightsError: The text tower gives no direction.
    """
    for caption in captions:
        check_caption(caption)
        _warn_of_cut(model.tokenizer, caption)
    return unit_rows(model.encode_texts(captions), "a caption").astype(np.float32)


def rank_frames(
    video: Path,
    captions: Sequence[str],
    directions: NDArray[np.float32],
    model: ClipBackbone,
    options: ChoiceOptions,
) -> list[Ranking]:
    """Decode a video once, score its frames for every caption and choose frames for each.

    Args:
        video: The file.
        captions: What is looked for.
        directions: float32 [n, D], one for each caption, from :func:`embed_captions`.
        model: Of which the directions are.
        options: How frames are sampled and chosen.

    Raises:
        VideoError: The video cannot be read.
        WeightsError: The model gives a frame no direction.
    """
    seen = embed_video(video, [model], every_s=1 / options.fps)
    parts = cut_timeline(len(seen), options.k, options.segments)
    segment = np.repeat(np.arange(len(parts)), [end - start for start, end in parts])
    rankings = []
    for caption, direction in zip(captions, directions, strict=True):
        scores = rounded_cosines(seen.features[0], direction)
        chosen = choose_frames(scores, options.k, options.segments)
        rank = np.empty(len(chosen), dtype=np.int64)
        rank[np.argsort(-scores[chosen], kind="stable")] = np.arange(1, len(chosen) + 1)
        rankings.append(
            Ranking(
                caption,
                seen.pts_s,
                seen.source_index,
                scores,
                segment,
                chosen,
                rank,
                seen.duration_s,
            )
        )
    return rankings


def read_pixels(
    video: Path, rankings: Collection[Ranking], size: tuple[int, int] | None
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """The pixels of all chosen frames, each frame once, in the order of time.

    Only one is in memory at a time: frames are read again instead of being kept while the video
    is scored, when nobody knows yet which ones will be chosen.

    Args:
        video: The file that the rankings are of.
        rankings: Of one pass over it.
        size: Width and height that frames are squashed to; ``None`` leaves them as they are.

    Yields:
        Its index among all frames of the video, and uint8 [H, W, 3].

    Raises:
        VideoError: The video cannot be read, or not twice in the same way.
    """
    times = {
        int(ranking.source_index[position]): float(ranking.times_s[position])
        for ranking in rankings
        for position in ranking.chosen
    }
    wanted = sorted(times)
    with open_video(video) as reader:
        for sample in reader.at([times[index] for index in wanted]):
            if sample.source_index != wanted[sample.number]:
                raise VideoError(
                    f"{video}: the frame at {sample.requested_s:g} s was frame "
                    f"{wanted[sample.number]}, and is {sample.source_index} when read again.",
                    reason="corrupt",
                    hint="The file is damaged, or changed meanwhile; re-encode it.",
                )
            image = sample.rgb()
            yield sample.source_index, image if size is None else squash_image(image, size)


def _warn_of_cut(tokenizer: Any, caption: str) -> None:
    cut = tokens_cut(tokenizer, caption, tokenizer.context_length)
    if cut:
        log.warning(
            "The model reads %d tokens of a caption; the last %d of %r are left out.",
            tokenizer.context_length,
            cut,
            caption if len(caption) <= 80 else f"{caption[:80]}…",
        )

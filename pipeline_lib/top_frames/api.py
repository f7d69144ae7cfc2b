"""Choosing the frames of one video for one caption, from Python."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.backbones.clip import ClipBackbone
from pipeline_lib.config import FrameSegments
from pipeline_lib.fingerprint import sha256_file
from pipeline_lib.storage.directories import replacing_directory
from pipeline_lib.top_frames.folder import (
    Source,
    facts_of,
    refuse_foreign_result,
    write_frame,
    write_rest,
)
from pipeline_lib.top_frames.options import ChoiceOptions
from pipeline_lib.top_frames.ranking import Ranking, embed_captions, rank_frames, read_pixels


@dataclass(frozen=True)
class TopFrame:
    """One chosen frame.

    Attributes:
        image: uint8 [H, W, 3], RGB; ``PIL.Image.fromarray`` takes it as it is.
        source_index: Its index among all frames of the video.
        time_s: When it is first shown, seconds since the first frame.
        score: Its cosine with the caption.
        segment: The part of the timeline it was chosen from, from 0.
        rank: 1 for the best score of the chosen frames.
    """

    image: NDArray[np.uint8]
    source_index: int
    time_s: float
    score: float
    segment: int
    rank: int


@dataclass(frozen=True)
class TopFrames:
    """The frames of a video that fit a caption best, one from each part of its timeline.

    Attributes:
        video: The file.
        frames: The chosen frames, in the order of time.
        ranking: The scores of all sampled frames.
        facts: What the scores depend on: model, weights, options, hash of the video.
    """

    video: Path
    frames: tuple[TopFrame, ...]
    ranking: Ranking
    facts: Mapping[str, Any] = field(repr=False)

    @property
    def times_s(self) -> NDArray[np.float64]:
        """float64 [n], when each sampled frame is first shown."""
        return self.ranking.times_s

    @property
    def scores(self) -> NDArray[np.float64]:
        """float64 [n], the score of each sampled frame."""
        return self.ranking.scores

    def save(self, folder: Path | str) -> dict[str, Any]:
        """Write frames, ``scores.csv``, ``strip.png`` and ``frames.json``.

        Args:
            folder: Replaced as a whole if it holds such results already.

        Returns:
            What ``frames.json`` holds.

        Raises:
            DataError: The folder holds something else.
        """
        refuse_foreign_result(Path(folder))
        with replacing_directory(Path(folder)) as made:
            for frame in self.frames:
                write_frame(made, self.ranking, frame.source_index, frame.image)
            return write_rest(made, self.ranking, Source(str(self.video), self.facts))


def top_frames(
    video: Path | str,
    caption: str,
    model: ClipBackbone,
    *,
    k: int = 4,
    segments: FrameSegments = "equal",
    fps: float = 4.0,
    size: tuple[int, int] | None = None,
) -> TopFrames:
    """Choose the frames of a video that fit a caption best, one from each part of its timeline.

    Memory holds a batch of small frames and the chosen ones, whatever the length of the video.

    Args:
        video: The file.
        caption: What to look for.
        model: From ``pipeline_lib.backbones.clip.load_clip``.
        k: Frames that are wanted; a video with fewer sampled ones gives fewer.
        segments: How the timeline is cut, one frame a part: see
            :func:`pipeline_lib.metrics.frame_choice.cut_timeline`.
        fps: Frames a second among which is chosen; a video with fewer gives all it has.
        size: Width and height that chosen frames are squashed to, whatever their shape.

    Raises:
        ConfigError: An option is out of range.
        DataError: The caption is empty.
        VideoError: The video cannot be read.
        WeightsError: The model gives embeddings without direction.
    """
    options = ChoiceOptions(k, segments, fps, size)
    path = Path(video)
    directions = embed_captions(model, [caption])
    [ranking] = rank_frames(path, [caption], directions, model, options)
    images = dict(read_pixels(path, [ranking], options.size))
    frames = tuple(
        TopFrame(
            images[int(ranking.source_index[position])],
            int(ranking.source_index[position]),
            float(ranking.times_s[position]),
            float(ranking.scores[position]),
            int(ranking.segment[position]),
            int(rank),
        )
        for position, rank in zip(ranking.chosen, ranking.rank, strict=True)
    )
    facts = facts_of(model, options, sha256_file(path), caption)
    return TopFrames(path, frames, ranking, facts)

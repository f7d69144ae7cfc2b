"""The control that sees single frames: CLIP's vectors of them, averaged, and a linear classifier.

What a network of clips reaches beyond it comes from how things move, or from its training.
"""

import logging
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline_lib.backbones.clip import ClipBackbone
from pipeline_lib.backbones.video_embedding import unit_rows
from pipeline_lib.datasets.video_clips.loading import prefetched
from pipeline_lib.errors import VideoError
from pipeline_lib.evaluation.videomamba.answers import Answers
from pipeline_lib.evaluation.videomamba.viewing import read_segments
from pipeline_lib.metrics.logits import affine_logits
from pipeline_lib.metrics.predictions import softmax
from pipeline_lib.runtime.lanes import cores
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.trainers.coop.data import CoopData
from pipeline_lib.trainers.coop.feature_rows import FeatureRows
from pipeline_lib.trainers.coop.linear_probe import LinearProbe, fit_linear_probe
from pipeline_lib.trainers.coop.samples import Samples
from pipeline_lib.trainers.videomamba.splits import Clips
from pipeline_lib.video.scaling import resize_image

_WINDOWS = 8  # embedded at once
_LOG = logging.getLogger(__name__)


class FrameModel:
    """A linear classifier of the mean direction of a window's frames.

    Args:
        clip: Embeds the frames.
        segments: Clips of a window whose frames are averaged.
        train: Windows it is fitted on.
        val: Windows that choose the strength of its penalty.
        seed: Of the draw of windows, where there are very many.
        progress: Told of each window.
    """

    def __init__(
        self,
        clip: ClipBackbone,
        segments: int,
        train: Clips,
        val: Clips,
        seed: int,
        progress: Progress = SILENT,
    ) -> None:
        self._clip, self._segments, self._progress = clip, segments, progress
        self._probe = self._fitted(train, val, seed)

    def answer(self, clips: Clips) -> Answers:
        """Its answers to the windows of a split that can be read, one a window."""
        rows, features = self._embedded(clips)
        weight, bias = (part.double().numpy() for part in (self._probe.weight, self._probe.bias))
        items = [clips.items[row] for row in rows]
        return Answers(
            tuple(item.video for item in items),
            tuple(item.id for item in items),
            softmax(affine_logits(features, weight, bias)),
        )

    def _fitted(self, train: Clips, val: Clips, seed: int) -> LinearProbe:
        names = train.listed.classes or ()
        data = CoopData(
            class_names=names,
            prompt_names=names,
            normal_class=None,
            train=self._samples(train),
            val=self._samples(val),
            source={},
            device=torch.device("cpu"),
        )
        return fit_linear_probe(data, seed, "balanced_accuracy", self._progress)

    def _samples(self, clips: Clips) -> Samples:
        rows, features = self._embedded(clips)
        items = [clips.items[row] for row in rows]
        labels = {item.video: int(item.label) for item in items}
        place = {video: index for index, video in enumerate(labels)}
        return Samples(
            FeatureRows(features, torch.device("cpu")),
            np.array([item.label for item in items], dtype=np.int64),
            np.array([place[item.video] for item in items], dtype=np.int64),
            np.array(list(labels.values()), dtype=np.int64),
        )

    def _embedded(self, clips: Clips) -> tuple[list[int], NDArray[np.float32]]:
        """The windows that can be read, and the mean direction of each one's frames."""

        def seen(row: int) -> list[NDArray[np.uint8]] | None:
            try:
                found = read_segments(clips.store, row, self._segments)
            except VideoError as error:
                _LOG.info("%s: left out of the control of single frames: %s", clips.name, error)
                return None
            return [resize_image(frame, self._clip.resize) for clip in found for frame in clip]

        rows: list[int] = []
        means: list[NDArray[np.float64]] = []
        with self._progress.task(f"embed frames, {clips.name}", len(clips.items)) as advance:
            made = prefetched(range(len(clips.items)), seen, cores())
            for start in range(0, len(clips.items), _WINDOWS):
                taken = range(start, min(start + _WINDOWS, len(clips.items)))
                frames = {row: found for row in taken if (found := next(made)) is not None}
                means += self._means(list(frames.values()))
                rows += frames
                advance(len(taken))
        if not rows:
            raise VideoError(f"No video of {clips.name} can be read.", reason="unreadable")
        return rows, unit_rows(np.stack(means), "a video").astype(np.float32)

    def _means(self, windows: Sequence[list[NDArray[np.uint8]]]) -> list[NDArray[np.float64]]:
        every = [frame for window in windows for frame in window]
        if not every:
            return []
        ends = np.cumsum([len(window) for window in windows])[:-1]
        return [part.mean(axis=0) for part in np.split(unit_rows(self._clip.encode(every)), ends)]

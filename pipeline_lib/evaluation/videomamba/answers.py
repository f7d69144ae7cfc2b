"""What the trained network and its controls say about the videos of one split."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.datasets.video_clips.items import ClipList
from pipeline_lib.errors import DataError
from pipeline_lib.metrics.views import MergedViews, merge_views

TRAINED = "videomamba"
# Answers that look at no video.
CHANCE, MAJORITY, CONSTANT, ZERO = "chance", "majority", "constant", "zero"
# Answers of networks: without training; of the trained one, with the frames in another order; from
# frames one by one; and trained from random weights.
RANDOM_INIT, REVERSED, SHUFFLED_FRAMES = "random_init", "reversed", "shuffled_frames"
FRAME_MODEL, SCRATCH = "frame_model", "scratch"

Labels = NDArray[Any]


@dataclass(frozen=True)
class Answers:
    """One contender's answers to n views.

    Attributes:
        videos: Id of each view's video, [n].
        views: What tells a view from the others of its video, [n].
        rows: Probabilities of the classes float64 [n, C], or values float64 [n, 1].
    """

    videos: tuple[str, ...]
    views: tuple[str, ...]
    rows: NDArray[np.float64]

    @cached_property
    def merged(self) -> MergedViews:
        """One answer a video, the mean over its views."""
        return merge_views(self.videos, self.views, self.rows)


@dataclass(frozen=True)
class AnsweredSplit:
    """One split with everybody's answers.

    Attributes:
        split: Its name.
        clips: The windows that were watched, their labels as the network counts them, and the
            videos that could not be.
        answers: The trained network and those controls that watched videos.
        train_labels: One a training video, as the network counts them; ``None`` where the training
            videos are not known.
    """

    split: str
    clips: ClipList
    answers: Mapping[str, Answers]
    train_labels: Labels | None

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The C classes; ``None`` where values are learned."""
        return self.clips.classes

    @property
    def videos(self) -> tuple[str, ...]:
        """Their ids, ascending, as all that is merged has them."""
        return self.answers[TRAINED].merged.videos

    @cached_property
    def video_labels(self) -> Labels:
        """The label of each of ``videos``."""
        return self.labels_of(self.videos)

    def labels_of(self, videos: tuple[str, ...]) -> Labels:
        """Labels of videos by their ids: int64, or float64 where values are learned."""
        dtype = np.float64 if self.class_names is None else np.int64
        return np.array([self._label_of[video] for video in videos], dtype=dtype)

    @cached_property
    def _label_of(self) -> dict[str, int | float]:
        return video_labels(self.clips)


def video_labels(clips: ClipList) -> dict[str, int | float]:
    """The label of each video of a list, by its id.

    Raises:
        DataError: Windows of one video have different ones.
    """
    labels: dict[str, int | float] = {}
    for item in clips.items:
        if labels.setdefault(item.video, item.label) != item.label:
            raise DataError(
                f"{item.video}: is listed with label {labels[item.video]} and with {item.label}.",
                hint="Keep one of the lines; a video has one class or value.",
            )
    return labels

"""The windows of one split as training sees them: features, labels, videos, and nothing else."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline_lib.datasets.window_store import WindowFeatures
from pipeline_lib.errors import DataError, did_you_mean
from pipeline_lib.trainers.coop.feature_rows import FeatureRows


@dataclass(frozen=True)
class Samples:
    """n windows from v videos.

    Attributes:
        rows: Their features.
        labels: Class of each window, int64 [n].
        video_of_window: Index of its video, int64 [n].
        video_labels: Class of each video by its directory, int64 [v].
    """

    rows: FeatureRows
    labels: NDArray[np.int64]
    video_of_window: NDArray[np.int64]
    video_labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def relabelled(self, labels: NDArray[np.int64]) -> "Samples":
        """The same windows with other labels."""
        return replace(self, labels=labels)

    def chosen(self, windows: NDArray[np.int64], device: torch.device) -> "Samples":
        """A few of the windows; their features are copied.

        Args:
            windows: Ascending indices, int64.
            device: Where training runs.
        """
        if len(windows) == len(self):
            return self
        return Samples(
            FeatureRows(np.take(self.rows.matrix, windows, axis=0), device),
            self.labels[windows],
            self.video_of_window[windows],
            self.video_labels,
        )

    def sha256(self) -> str:
        """Hex digest of everything but the features."""
        digest = hashlib.sha256()
        for array in (self.labels, self.video_of_window, self.video_labels):
            digest.update(str(array.shape).encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def samples(windows: WindowFeatures, class_names: Sequence[str], device: torch.device) -> Samples:
    """The windows of a split, ready for training.

    Args:
        windows: One split.
        class_names: The model's classes.
        device: Where training runs.

    Raises:
        DataError: A video's directory is no class.
    """
    return Samples(
        FeatureRows(windows.features, device),
        np.ascontiguousarray(windows.labels),
        np.ascontiguousarray(windows.video_of_window),
        _video_labels(windows.video_ids, class_names),
    )


def _video_labels(video_ids: Sequence[str], class_names: Sequence[str]) -> NDArray[np.int64]:
    """Class of each video: its directory, the middle of its id."""
    index = {name: i for i, name in enumerate(class_names)}
    directories = [video.split("/")[1] for video in video_ids]
    if unknown := sorted(set(directories) - set(index)):
        raise DataError(
            f"Class {unknown[0]!r} is no class of the model.",
            hint=f"{did_you_mean(unknown[0], class_names)} A class needs a directory under train/.",
        )
    return np.array([index[name] for name in directories], dtype=np.int64)

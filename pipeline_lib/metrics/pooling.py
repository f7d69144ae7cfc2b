"""From the logits of windows to one prediction a video."""

from typing import Literal

import numpy as np

from pipeline_lib.metrics.predictions import Predictions

Pooling = Literal["mean", "max", "vote"]
POOLINGS: tuple[Pooling, ...] = ("mean", "max", "vote")


def pool_videos(
    logits: np.ndarray,
    video_of_window: np.ndarray,
    video_labels: np.ndarray,
    class_names: tuple[str, ...],
    pooling: Pooling,
) -> Predictions:
    """Pool window logits within each video.

    ``mean`` and ``max`` pool each class's logit and predict the largest. ``vote`` counts the
    windows' own predictions; probabilities are the shares of the votes, and among classes with
    equally many votes the largest mean logit wins.

    With features f_i of one video normalised one by one, the mean logit is
    scale * mean(f_i) @ W^T: pooling normalised features or logits is the same.

    Args:
        logits: Float [n, C].
        video_of_window: Index of each window's video, int64 [n]; every video has a window.
        video_labels: True class index of each video, int64 [v].
        class_names: The C names.
        pooling: How.
    """
    videos = len(video_labels)
    if pooling == "max":
        pooled = max_by_video(logits, video_of_window, videos)
        return Predictions.from_logits(video_labels, pooled, class_names)
    mean = _mean_by_video(logits, video_of_window, videos)
    if pooling == "mean":
        return Predictions.from_logits(video_labels, mean, class_names)
    votes = np.zeros((videos, len(class_names)))
    np.add.at(votes, (video_of_window, logits.argmax(axis=1)), 1.0)
    shares = votes / votes.sum(axis=1, keepdims=True)
    leading = shares == shares.max(axis=1, keepdims=True)
    predicted = np.where(leading, mean, -np.inf).argmax(axis=1)
    return Predictions(video_labels, predicted, shares, class_names)


def max_by_video(values: np.ndarray, video_of_window: np.ndarray, videos: int) -> np.ndarray:
    """The largest value of each column within each video, float64 [videos, columns].

    Args:
        values: Float [n, columns].
        video_of_window: Index of each window's video, int64 [n]; every video has a window.
        videos: Their number.
    """
    largest = np.full((videos, values.shape[1]), -np.inf)
    for column in range(values.shape[1]):
        np.maximum.at(largest[:, column], video_of_window, values[:, column])
    return largest


def _mean_by_video(values: np.ndarray, video_of_window: np.ndarray, videos: int) -> np.ndarray:
    columns = [
        np.bincount(video_of_window, weights=values[:, column], minlength=videos)
        for column in range(values.shape[1])
    ]
    return np.stack(columns, axis=1) / np.bincount(video_of_window, minlength=videos)[:, None]

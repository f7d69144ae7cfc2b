"""How well a network tells classes or values of videos."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline_lib.datasets.video_clips.augment import test_crop
from pipeline_lib.datasets.video_clips.loading import prefetched
from pipeline_lib.metrics.classification import accuracy, balanced_accuracy
from pipeline_lib.metrics.predictions import Predictions
from pipeline_lib.metrics.regression import measure_values
from pipeline_lib.metrics.views import merge_views
from pipeline_lib.trainers.resume import Row
from pipeline_lib.trainers.videomamba.batches import label_tensor
from pipeline_lib.trainers.videomamba.splits import Clips

COLUMNS = {
    "classification": ("val_loss", "val_accuracy", "val_balanced_accuracy"),
    "regression": ("val_loss", "val_mse", "val_mae"),
}


def centre_clips(
    clips: Clips, rows: Sequence[int], *, size: int, batch_size: int, workers: int
) -> Iterator[Tensor]:
    """One clip each, the middle one, seen in its centre.

    Args:
        clips: The split.
        rows: Which of its clips.
        size: Side of a frame.
        batch_size: Clips together.
        workers: Threads that read ahead.

    Yields:
        fp32 [b, 3, T, S, S], normalised, in the order of ``rows``.
    """

    def seen(row: int) -> Tensor:
        return test_crop(clips.store.read(row, clips.store.test_indices(row)), size, 0, 1)

    made = prefetched(rows, seen, workers)
    for start in range(0, len(rows), batch_size):
        taken = rows[start : start + batch_size]
        yield torch.stack([next(made) for _ in taken])


def measure(outputs: Tensor, clips: Clips) -> Row:
    """The ``val_…`` values of what a network says about all clips of a split.

    The loss is a mean over clips; the other values are of videos, each with the mean over its
    windows.

    Args:
        outputs: fp32 [n, classes], or [n, 1] where values are learned, on the CPU.
        clips: The split.
    """
    labels = label_tensor(clips)
    videos, windows = ([getattr(item, name) for item in clips.items] for name in ("video", "id"))
    of_video = dict(zip(videos, labels.tolist(), strict=True))
    classes = clips.listed.classes
    if classes is None:
        merged = merge_views(videos, windows, outputs.numpy())
        true = np.array([of_video[video] for video in merged.videos])
        measured = measure_values(merged.rows[:, 0], true)
        loss = F.mse_loss(outputs[:, 0], labels)
        return {"val_loss": float(loss), "val_mse": measured["mse"], "val_mae": measured["mae"]}
    merged = merge_views(videos, windows, outputs.double().softmax(dim=1).numpy())
    true = np.array([of_video[video] for video in merged.videos], dtype=np.int64)
    predictions = Predictions(true, merged.rows.argmax(axis=1), merged.rows, classes)
    return {
        "val_loss": float(F.cross_entropy(outputs, labels)),
        "val_accuracy": accuracy(predictions),
        "val_balanced_accuracy": balanced_accuracy(predictions),
    }

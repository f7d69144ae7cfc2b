"""Loss and metrics of a linear classifier on any number of windows, in bounded memory."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pipeline_lib.trainers.coop.feature_rows import CHUNK
from pipeline_lib.trainers.coop.ranking import BinnedRanking
from pipeline_lib.trainers.coop.samples import Samples
from pipeline_lib.trainers.resume import Row

Logits = Callable[[Tensor], Tensor]


def linear_logits(weight: Tensor, scale: float = 1.0, bias: Tensor | None = None) -> Logits:
    """scale * f @ w^T + bias in float64, in which rounding cannot move a prediction.

    Args:
        weight: [C, D], normalised text features or another classifier's.
        scale: Factor on the product.
        bias: [C], none if ``None``.
    """
    wide = weight.detach().double().T * scale

    def logits(features: Tensor) -> Tensor:
        product = features @ wide.to(features.device)
        return product if bias is None else product + bias.double().to(features.device)

    return logits


def measure(samples: Samples, logits: Logits, class_names: Sequence[str]) -> Row:
    """The ``val_…`` values of a classifier, and for TensorBoard alone what has a tag as its name.

    The latter are the recall of each class, ``PerClass/<name>``, and ``AUC/val``, the mean area
    under the ROC curves of each class against the rest.

    ``val_video_accuracy`` takes the class of a video's largest mean logit.

    Args:
        samples: What it is measured on.
        logits: Features float64 [n, D] to logits [n, C].
        class_names: The C classes.
    """
    classes = len(class_names)
    loss = 0.0
    confusion = np.zeros((classes, classes), dtype=np.int64)
    of_videos = np.zeros((len(samples.video_labels), classes))
    ranking = BinnedRanking(classes)
    for start in range(0, len(samples), CHUNK):
        stop = min(start + CHUNK, len(samples))
        output = logits(samples.rows.widened(start, stop)).cpu()
        labels = samples.labels[start:stop]
        loss += F.cross_entropy(output, torch.from_numpy(labels), reduction="sum").item()
        ranking.add(labels, output.numpy())
        found = output.argmax(dim=1).numpy()
        confusion += np.bincount(labels * classes + found, minlength=classes**2).reshape(
            classes, classes
        )
        _add_by_video(of_videos, samples.video_of_window[start:stop], output.numpy())
    correct = confusion.diagonal()
    with np.errstate(invalid="ignore"):
        recall = correct / confusion.sum(axis=1)
    videos = np.unique(samples.video_of_window)
    windows = np.bincount(samples.video_of_window, minlength=len(of_videos))[videos, None]
    hits = (of_videos[videos] / windows).argmax(axis=1) == samples.video_labels[videos]
    return {
        "val_loss": loss / len(samples),
        "val_accuracy": float(correct.sum() / len(samples)),
        "val_balanced_accuracy": float(np.mean(recall[~np.isnan(recall)])),
        "val_video_accuracy": float(hits.mean()),
        "AUC/val": ranking.macro_auc(),
        **{
            f"PerClass/{name}": None if np.isnan(value) else float(value)
            for name, value in zip(class_names, recall, strict=True)
        },
    }


def _add_by_video(
    totals: NDArray[np.float64], videos: NDArray[np.int64], logits: NDArray[np.float64]
) -> None:
    """Add logits to their videos' totals; windows of a video mostly stand together."""
    first, last = int(videos.min()), int(videos.max())
    for column in range(logits.shape[1]):
        sums = np.bincount(videos - first, weights=logits[:, column], minlength=last - first + 1)
        totals[first : last + 1, column] += sums

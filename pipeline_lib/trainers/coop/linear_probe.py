"""The linear-probe control: logistic regression on the same features, without any text.

What prompts reach beyond it comes from the text tower; where they stay below it, the words cost
something. Published few-shot work compares with it too (Radford et al., ICML 2021).
"""

import logging
import warnings
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.runtime.seeding import numpy_stream
from pipeline_lib.trainers.coop.data import CoopData
from pipeline_lib.trainers.coop.measuring import linear_logits, measure
from pipeline_lib.trainers.coop.shots import choose_evenly

logger = logging.getLogger(__name__)

# Inverse strengths of the L2 penalty that are tried; features have length 1, so weights are large.
STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1000.0)
MOST_WINDOWS = 50_000
# A class that was never shown gets this bias: below every other logit, and finite.
_NEVER = -1e4
_ITERATIONS = 1000


@dataclass(frozen=True)
class LinearProbe:
    """Logits are f @ weight^T + bias.

    Attributes:
        weight: fp32 [C, D].
        bias: fp32 [C].
        metadata: The checkpoint's description.
    """

    weight: Tensor
    bias: Tensor
    metadata: dict[str, Any]


def fit_linear_probe(
    data: CoopData, seed: int, select: str, progress: Progress = SILENT
) -> LinearProbe:
    """Fit the probe for each strength and keep the best on val; the stronger penalty wins ties.

    Args:
        data: Training and validation windows; of the former at most ``MOST_WINDOWS`` are used,
            evenly drawn over classes and videos.
        seed: Of that draw.
        select: ``balanced_accuracy`` or ``accuracy``.
        progress: Told of each strength.
    """
    train = data.train
    chosen = choose_evenly(
        train.labels,
        train.video_of_window,
        MOST_WINDOWS,
        numpy_stream(seed, "coop", "linear probe"),
    )
    if len(chosen) < len(train):
        logger.info("linear probe: %d of %d training windows", len(chosen), len(train))
    features, labels = np.take(train.rows.matrix, chosen, axis=0), train.labels[chosen]
    strengths = STRENGTHS if len(np.unique(labels)) > 1 else STRENGTHS[:1]
    tried: list[tuple[float, float, Tensor, Tensor]] = []
    model = LogisticRegression(solver="lbfgs", max_iter=_ITERATIONS, warm_start=True)
    with progress.task("fit linear probe", len(strengths)) as advance:
        for strength in strengths:
            weight, bias = _fitted(model, strength, features, labels, len(data.class_names))
            row = measure(data.val, linear_logits(weight, bias=bias), data.class_names)
            tried.append((cast(float, row[f"val_{select}"]), strength, weight, bias))
            advance()
    _, strength, weight, bias = max(tried, key=lambda one: one[0])
    return LinearProbe(weight, bias, _describe(data, strength, len(chosen), seed))


def _fitted(
    model: LogisticRegression,
    strength: float,
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    classes: int,
) -> tuple[Tensor, Tensor]:
    """Weight [C, D] and bias [C] of all classes, shown or not; starts from the last fit."""
    weight = np.zeros((classes, features.shape[1]), dtype=np.float32)
    bias = np.full(classes, _NEVER, dtype=np.float32)
    shown = np.unique(labels)
    bias[shown] = 0.0
    if len(shown) > 1:
        model.set_params(C=strength)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(features, labels)
        if model.n_iter_.max() >= _ITERATIONS:
            logger.info("linear probe: C = %g had not converged", strength)
        # Of two classes scikit-learn fits only the second against the first.
        rows = shown if len(shown) > 2 else shown[1:]
        weight[rows], bias[rows] = model.coef_, model.intercept_
    return torch.from_numpy(weight), torch.from_numpy(bias)


def _describe(data: CoopData, strength: float, windows: int, seed: int) -> dict[str, Any]:
    return {
        "trainer": "linear_probe",
        "class_names": list(data.class_names),
        "features": dict(data.source),
        "C": strength,
        "train_windows": windows,
        "seed": seed,
    }

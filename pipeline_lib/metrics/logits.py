"""The logits that every prediction starts from."""

import numpy as np

BATCH_SIZE = 8192  # windows widened to float64 at once: 32 MB at 512 dimensions


def affine_logits(
    features: np.ndarray, weights: np.ndarray, bias: np.ndarray, batch_size: int = BATCH_SIZE
) -> np.ndarray:
    """The logits of a linear classifier, f @ w^T + b, float64 [n, C].

    CLIP's classifier is one: its weights are exp(logit_scale) times the normalised text features.
    In float64 the rounding of a product cannot move a prediction, so the same classifier is
    measured alike whatever the batch and the device.

    Args:
        features: Normalised window features, float32 [n, D]; may be memory-mapped, and are never
            copied as a whole.
        weights: [C, D].
        bias: [C].
        batch_size: Rows widened to float64 at once.
    """
    columns = weights.astype(np.float64).T
    logits = np.empty((len(features), len(weights)))
    for start in range(0, len(features), batch_size):
        rows = slice(start, start + batch_size)
        logits[rows] = features[rows].astype(np.float64) @ columns + bias
    return logits

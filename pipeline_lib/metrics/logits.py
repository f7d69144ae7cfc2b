"""The logits that every prediction starts from."""

import numpy as np


def cosine_logits(
    features: np.ndarray, text_features: np.ndarray, scale: float, batch_size: int = 65536
) -> np.ndarray:
    """CLIP's logits, scale * f @ w^T, float64 [n, C].

    In float64 the rounding of a product cannot move a prediction, so the same prompts are measured
    alike whatever the batch and the device.

    Args:
        features: Normalised window features, float32 [n, D].
        text_features: Normalised text features of the classes, float32 [C, D].
        scale: exp(logit_scale).
        batch_size: Windows widened to float64 at once.
    """
    weights = text_features.astype(np.float64).T
    parts = [
        features[start : start + batch_size].astype(np.float64) @ weights * scale
        for start in range(0, len(features), batch_size)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, len(text_features)))

import numpy as np
import pytest

from pipeline_lib.metrics.pooling import Pooling, pool_videos

NAMES = ("fall", "fire", "normal")
# Video 0 has three windows, video 1 one; rows of a video need not be neighbours.
LOGITS = np.array([[5.0, 0.0, 1.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0], [0.0, 0.0, 1.8]])
VIDEO = np.array([0, 1, 0, 0])
LABELS = np.array([0, 1])


@pytest.mark.parametrize(
    ("pooling", "first"),
    [("mean", 0), ("max", 0), ("vote", 2)],
)
def test_pooling_rules_differ(pooling: Pooling, first: int) -> None:
    pooled = pool_videos(LOGITS, VIDEO, LABELS, NAMES, pooling)
    assert pooled.predicted.tolist() == [first, 1]
    assert pooled.labels.tolist() == [0, 1]
    assert pooled.probabilities.sum(axis=1) == pytest.approx([1, 1])


def test_votes_are_shares_and_ties_fall_to_the_larger_mean_logit() -> None:
    logits = np.array([[0.0, 3.0, 2.9], [2.0, 0.0, 2.1], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
    pooled = pool_videos(logits, np.zeros(4, dtype=int), np.array([1]), NAMES, "vote")
    assert pooled.probabilities.tolist() == [[0.0, 0.5, 0.5]]
    assert pooled.predicted.tolist() == [2]  # means 1.0 and 1.625


def test_max_takes_each_class_over_all_windows() -> None:
    pooled = pool_videos(
        np.array([[-9.0, -8.0, -7.0], [-1.0, -8.0, -7.0]]),
        np.zeros(2, dtype=int),
        np.array([0]),
        NAMES,
        "max",
    )
    assert pooled.predicted.tolist() == [0]


def test_mean_logit_is_the_logit_of_the_mean_normalised_feature() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((40, 16)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    weights = rng.standard_normal((3, 16)).astype(np.float32)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    video = np.arange(40) % 4
    pooled = pool_videos(100 * features @ weights.T, video, np.zeros(4, dtype=int), NAMES, "mean")
    mean_features = np.stack([features[video == v].mean(axis=0) for v in range(4)])
    logits = 100 * mean_features @ weights.T
    shifted = np.log(pooled.probabilities) - np.log(pooled.probabilities[:, :1])
    assert shifted == pytest.approx(logits - logits[:, :1], abs=1e-4)

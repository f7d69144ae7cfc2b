import numpy as np
import pytest

from pipeline_lib.metrics.logits import affine_logits

NO_BIAS = np.zeros(3)


@pytest.mark.parametrize("batch_size", [1, 32, 4096])
def test_logits_do_not_depend_on_the_batch(batch_size: int) -> None:
    rng = np.random.default_rng(1)
    features = rng.standard_normal((100, 24)).astype(np.float32)
    weights = 100.0 * rng.standard_normal((3, 24))
    found = affine_logits(features, weights, NO_BIAS, batch_size)
    assert found == pytest.approx(features.astype(float) @ weights.T, abs=1e-9)
    assert (found.argmax(axis=1) == affine_logits(features, weights, NO_BIAS).argmax(axis=1)).all()


def test_no_window_has_no_logit() -> None:
    assert affine_logits(np.zeros((0, 8), np.float32), np.zeros((3, 8)), NO_BIAS).shape == (0, 3)


def test_a_linear_classifier_has_a_bias() -> None:
    features = np.array([[1, 2], [0, 1]], np.float32)
    found = affine_logits(features, np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([0.5, -1.0]), 1)
    assert found.tolist() == [[1.5, 3.0], [0.5, 1.0]]

import numpy as np
import pytest

from pipeline_lib.metrics.logits import cosine_logits


@pytest.mark.parametrize("batch_size", [1, 32, 4096])
def test_logits_do_not_depend_on_the_batch(batch_size: int) -> None:
    rng = np.random.default_rng(1)
    features = rng.standard_normal((100, 24)).astype(np.float32)
    text = rng.standard_normal((3, 24)).astype(np.float32)
    found = cosine_logits(features, text, 100.0, batch_size)
    assert found == pytest.approx(100.0 * features.astype(float) @ text.T.astype(float), abs=1e-9)
    assert (found.argmax(axis=1) == cosine_logits(features, text, 100.0).argmax(axis=1)).all()


def test_no_window_has_no_logit() -> None:
    assert cosine_logits(np.zeros((0, 8), np.float32), np.zeros((3, 8)), 1.0).shape == (0, 3)

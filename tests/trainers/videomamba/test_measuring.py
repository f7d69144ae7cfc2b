"""What validation makes of a network's outputs."""

import pytest
import torch

from pipeline_lib.trainers.videomamba.measuring import measure
from tests.trainers.videomamba.project import clips


def test_a_video_has_the_mean_probabilities_of_its_windows():
    # Two of the second video's windows are for its class, and the mean of its logits is not.
    outputs = torch.tensor([[4.0, 0], [4, 0], [4, 0], [9, 0], [0, 2], [0, 2]])
    measured = measure(outputs, clips("val", 6, windows=3))
    assert measured["val_accuracy"] == measured["val_balanced_accuracy"] == 1
    right = outputs.log_softmax(dim=1)[range(6), [0, 0, 0, 1, 1, 1]]
    assert measured["val_loss"] == pytest.approx(-float(right.mean()))


def test_a_value_is_the_mean_of_its_windows():
    # Videos of -1 and 1 in two windows each.
    outputs = torch.tensor([[0.0], [-1.0], [3.0], [1.0]])
    measured = measure(outputs, clips("val", 4, values=True, windows=2))
    assert measured["val_mse"] == pytest.approx((0.5**2 + 1) / 2)
    assert measured["val_mae"] == pytest.approx((0.5 + 1) / 2)
    assert measured["val_loss"] == pytest.approx((1 + 0 + 4 + 0) / 4)

import pytest
import torch

from pipeline_lib.trainers.videomamba_pretrain.losses import alignment_loss

# One layer, two clips of two visible tokens of two numbers.
STUDENT = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]], [[0.6, 0.8], [1.0, 0.0]]]])
TARGET = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]], [[0.8, 0.6], [-1.0, 0.0]]]])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("l2", [(0 + 2) / 2, (0.08 + 4) / 2]),
        ("mse", [(0 + 1) / 2, (0.04 + 2) / 2]),
        # Half the square below a difference of one, the difference less a half above.
        ("smooth_l1", [(0 + 0.5) / 2, (0.02 + 0.75) / 2]),
    ],
)
def test_losses_of_each_clip_by_hand(kind, expected):
    made = alignment_loss(STUDENT, TARGET, kind)
    assert made.tolist() == pytest.approx(expected, abs=1e-6)
    twice = alignment_loss(STUDENT.repeat(2, 1, 1, 1), TARGET.repeat(2, 1, 1, 1), kind)
    assert twice.tolist() == pytest.approx(expected, abs=1e-6)

import pytest
import torch
from torch import nn

from pipeline_lib.networks.attention_layers import LayeredAttention, can_be_layered, joined


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("mask", [None, (5, 5), (6, 5, 5)])
def test_it_attends_as_the_joint_one(batch_first, mask):
    torch.manual_seed(0)
    joint = nn.MultiheadAttention(8, 2, batch_first=batch_first)
    nn.init.normal_(joint.in_proj_bias)
    nn.init.normal_(joint.out_proj.bias)
    x = torch.randn(3, 5, 8) if batch_first else torch.randn(5, 3, 8)
    added = None if mask is None else torch.randn(mask)
    expected, _ = joint(x, x, x, need_weights=False, attn_mask=added)
    result, _ = LayeredAttention(joint)(x, x, x, need_weights=False, attn_mask=added)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)


def test_its_projections_are_joined_again():
    attention = nn.Sequential(nn.MultiheadAttention(8, 2))
    before = attention.state_dict()
    layered = nn.Sequential(LayeredAttention(attention[0]))
    after = joined(layered.state_dict(), "0")
    assert set(after) == set(before)
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


@pytest.mark.parametrize(
    "options", [{"kdim": 4, "vdim": 4}, {"bias": False}, {"add_bias_kv": True}]
)
def test_other_constructions_are_left_alone(options):
    assert can_be_layered(nn.MultiheadAttention(8, 2))
    assert not can_be_layered(nn.MultiheadAttention(8, 2, **options))


def test_attention_weights_are_not_given():
    x = torch.zeros(1, 2, 8)
    with pytest.raises(ValueError, match="no attention weights"):
        LayeredAttention(nn.MultiheadAttention(8, 2))(x, x, x, need_weights=True)

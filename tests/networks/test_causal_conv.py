import pytest
import torch
import torch.nn.functional as F

from pipeline_lib.networks.causal_conv import causal_conv_silu


def drawn(length, dtype=torch.float64):
    torch.manual_seed(0)
    x, weight, bias = torch.randn(length, 2, 5), torch.randn(5, 1, 4), torch.randn(5)
    return [tensor.to(dtype).requires_grad_() for tensor in (x, weight, bias)]


def by_torch(x, weight, bias):
    padded = F.pad(x.permute(1, 2, 0), (3, 0))
    return F.silu(F.conv1d(padded, weight, bias, groups=5)).permute(2, 0, 1)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 40])
def test_it_equals_torchs_convolution_and_its_gradients(length):
    inputs = drawn(length)
    found, wanted = causal_conv_silu(*inputs), by_torch(*inputs)
    torch.testing.assert_close(found, wanted, rtol=1e-13, atol=1e-13)
    upstream = torch.randn_like(found)
    for one, two in zip(
        torch.autograd.grad(found, inputs, upstream),
        torch.autograd.grad(wanted, inputs, upstream),
        strict=True,
    ):
        torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-12)


def test_gradients_by_differences():
    assert torch.autograd.gradcheck(causal_conv_silu, drawn(6))


def test_a_slice_of_a_wider_array():
    x, weight, bias = drawn(7)
    wide = torch.cat([x, x], dim=-1).detach()
    torch.testing.assert_close(
        causal_conv_silu(wide[..., 5:], weight, bias), causal_conv_silu(x, weight, bias)
    )


def test_half_precision_is_rounded_once():
    x, weight, bias = drawn(30, torch.float32)
    half = x.bfloat16()
    found = causal_conv_silu(half, weight, bias)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, by_torch(half.float(), weight, bias).bfloat16())

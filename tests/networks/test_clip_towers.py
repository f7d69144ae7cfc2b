"""Blocks with OpenAI's names: against torch's own attention, low-rank additions, oneDNN."""

from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pipeline_lib.errors import ConfigError
from pipeline_lib.networks import onednn, onednn_linear
from pipeline_lib.networks.clip_shape import clip_shape, clip_tensors
from pipeline_lib.networks.clip_towers import ResidualBlock
from pipeline_lib.networks.lora_attention import LoraAttention
from pipeline_lib.networks.merge_schedule import PRESETS
from pipeline_lib.networks.tempme import TempMe
from pipeline_lib.runtime.torchvision_ops import import_open_clip
from tests.networks.small_clip import SMALL

open_clip = import_open_clip()

VISION = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
TEXT = {"context_length": 16, "vocab_size": 60, "width": 24, "heads": 2, "layers": 2}


def drawn(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.3, generator=generator)
    return module


def torch_like(attention, heads):
    """Torch's attention with the low-rank addition folded in."""
    width = attention.in_proj_weight.shape[1]
    other = nn.MultiheadAttention(width, heads, batch_first=True)
    addition = attention.TVPt_LoRA_b @ attention.TVPt_LoRA_a
    with torch.no_grad():
        other.in_proj_weight.copy_(attention.in_proj_weight + addition)
        other.in_proj_bias.copy_(attention.in_proj_bias)
    other.out_proj.load_state_dict(attention.out_proj.state_dict())
    return other


@pytest.mark.parametrize("grad", [True, False])
def test_attention_equals_torchs_with_the_addition_folded(grad):
    attention = drawn(LoraAttention(16, 4, rank=3))
    x, bias = torch.randn(2, 5, 16), torch.randn(5, 5)
    with torch.set_grad_enabled(grad):
        made = attention(*attention.project(x), bias)
    wanted, _ = torch_like(attention, 4)(x, x, x, attn_mask=bias)
    torch.testing.assert_close(made, wanted, rtol=1e-5, atol=1e-5)


def test_fewer_queries_are_the_first_rows_of_all():
    attention, x = drawn(LoraAttention(16, 4, rank=3)), torch.randn(2, 5, 16)
    with torch.no_grad():
        whole, few = (attention(*attention.project(x, count)) for count in (None, 2))
    torch.testing.assert_close(few, whole[:, :2], rtol=1e-5, atol=1e-5)


def test_the_folded_weight_follows_its_parts():
    attention, x = drawn(LoraAttention(16, 2, rank=2)), torch.randn(1, 3, 16)
    with torch.no_grad():
        before = attention.project(x)[0]
        attention.TVPt_LoRA_b.add_(1)
        changed = attention.project(x)[0]
        attention.load_state_dict(drawn(LoraAttention(16, 2, rank=2)).state_dict())
        again = attention.project(x)[0]
    assert not torch.allclose(before, changed)
    assert torch.equal(before, again)


def test_the_addition_starts_as_nothing_and_learns():
    attention = drawn(LoraAttention(16, 2, rank=2))
    attention.reset_lora(torch.Generator().manual_seed(0))
    assert attention.TVPt_LoRA_a.abs().max() <= 0.25
    assert attention.TVPt_LoRA_a.std() > 0.1
    assert torch.equal(attention.TVPt_LoRA_b, torch.zeros(48, 2))
    attention.requires_grad_(False)
    attention.TVPt_LoRA_b.requires_grad_(True)
    attention(*attention.project(torch.randn(1, 3, 16))).square().sum().backward()
    assert attention.TVPt_LoRA_b.grad.abs().sum() > 0


@pytest.mark.parametrize("quick", [True, False])
def test_a_block_is_the_same_with_and_without_a_gradient(quick):
    block, x = drawn(ResidualBlock(16, 2, 32, quick, rank=2)), torch.randn(3, 5, 16)
    with torch.no_grad():
        fast = block(x)
        with mock.patch.object(onednn, "applies", return_value=False):
            plain = block(x)
    torch.testing.assert_close(block(x).detach(), fast, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(plain, fast, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("width", [(8, 5), (64, 33)], ids=["narrow", "wide"])
def test_gradients_of_a_product_are_those_of_torchs(width, bias):
    x, layer = torch.randn(2, 3, width[0]), nn.Linear(*width, bias=bias)
    inputs = [x.requires_grad_(), *layer.parameters()]
    made = onednn_linear.linear(x, layer.weight, layer.bias).square().sum()
    wanted = F.linear(x, layer.weight, layer.bias).square().sum()
    pairs = zip(torch.autograd.grad(made, inputs), torch.autograd.grad(wanted, inputs), strict=True)
    for mine, other in pairs:
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)


def test_autocast_goes_torchs_way():
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        block = drawn(ResidualBlock(16, 2, 32, True, rank=2))
        assert block.attn.project(torch.randn(1, 3, 16))[0].dtype == torch.bfloat16
    # The folded weight is fp32 all the same.
    with torch.no_grad():
        assert block.attn.project(torch.randn(1, 3, 16))[0].dtype == torch.float32


@pytest.mark.parametrize("quick", [True, False])
def test_shape_and_tensors_of_an_open_clip_model(quick):
    model = open_clip.CLIP(20, VISION, TEXT, quick_gelu=quick).eval()
    shape = clip_shape(model)
    assert (shape.embed_dim, shape.grid, shape.tokens) == (20, 4, 17)
    assert (shape.vision_heads, shape.text_heads, shape.vision_hidden) == (2, 2, 128)
    assert shape.quick_gelu == quick
    network = TempMe(shape, PRESETS["none"].schedule, 1, lora_dim=0)
    network.load_state_dict(clip_tensors(model), strict=True)
    pixels, ids = torch.randn(3, 1, 3, 32, 32), torch.randint(0, 60, (4, 16))
    with torch.no_grad():
        torch.testing.assert_close(
            network.encode_video(pixels)[:, 0], model.encode_image(pixels[:, 0]),
            rtol=1e-5, atol=1e-5,
        )  # fmt: skip
        torch.testing.assert_close(
            network.encode_text(ids), model.encode_text(ids), rtol=1e-5, atol=1e-5
        )


def test_a_custom_text_tower_of_clips_kind():
    model = open_clip.CustomTextCLIP(20, VISION, TEXT).eval()
    network = TempMe(clip_shape(model), PRESETS["none"].schedule, 1, lora_dim=0)
    network.load_state_dict(clip_tensors(model), strict=True)
    ids = torch.randint(0, 60, (4, 16))
    with torch.no_grad():
        torch.testing.assert_close(
            network.encode_text(ids), model.encode_text(ids), rtol=1e-5, atol=1e-5
        )


RESNET = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}


@pytest.mark.parametrize(
    ("vision", "text", "message"),
    [
        (RESNET, {}, "needs a ViT"),
        ({"pool_type": "avg"}, {}, "another way than from the class token"),
        ({"ls_init_value": 0.1}, {}, "blocks scale their layers"),
        ({"no_ln_pre": True}, {}, "lacks the first norm"),
        ({"norm_kwargs": {"eps": 1e-6}}, {}, "1e-06 to the variance instead of 1e-05"),
        ({}, {"pool_type": "last"}, "pools by 'last'"),
        ({}, {"no_causal_mask": True}, "not causal"),
        ({}, {"proj_bias": True}, "missing or has a bias"),
        ({"image_size": (32, 64)}, {}, "not square"),
        ({"act_kwargs": {"approximate": "tanh"}}, {}, "GELU is the approximation by tanh"),
        ({}, {"act_kwargs": {"approximate": "tanh"}}, "GELU is the approximation by tanh"),
    ],
)
def test_other_towers_are_refused(vision, text, message):
    model = open_clip.CLIP(20, vision if vision is RESNET else VISION | vision, TEXT | text)
    with pytest.raises(ConfigError, match=message):
        clip_shape(model)


def test_texts_that_are_read_from_a_class_token_are_refused():
    model = open_clip.CustomTextCLIP(20, VISION, TEXT | {"embed_cls": True})
    with pytest.raises(ConfigError, match="reads texts from a class token"):
        clip_shape(model)


def test_another_activation_is_refused():
    model = open_clip.CLIP(20, VISION, TEXT)
    model.visual.transformer.resblocks[1].mlp.gelu = nn.ReLU()
    with pytest.raises(ConfigError, match="its activation is ReLU"):
        clip_shape(model)


def test_pictures_that_are_no_whole_number_of_patches():
    model = open_clip.CLIP(20, VISION | {"image_size": 36}, TEXT).eval()
    network = TempMe(clip_shape(model), PRESETS["none"].schedule, 1, lora_dim=0)
    network.load_state_dict(clip_tensors(model), strict=True)
    pixels = torch.randn(2, 1, 3, 36, 36)
    with torch.no_grad():
        torch.testing.assert_close(
            network.encode_video(pixels)[:, 0], model.encode_image(pixels[:, 0]),
            rtol=1e-5, atol=1e-5,
        )  # fmt: skip


def test_a_small_shape_counts_its_tokens():
    assert SMALL.tokens == 17

import pytest
import torch
from torch import nn

from pipeline_lib.backbones.open_clip_weights import load_open_clip
from pipeline_lib.errors import ConfigError
from pipeline_lib.trainers.pos_neg.lora import add_lora, merged_tensors
from tests.support.trainable_clips import (
    DEMO,
    KINDS,
    inputs,
    section,
    train,
    trainable,
    transformers_clip,
)


@pytest.fixture(scope="module", params=[*KINDS, "transformers"])
def config(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "transformers":
        return transformers_clip(folder)
    return section(request.param, folder)


def test_merged_additions_give_the_trained_features(config):
    model = trainable(config, mode="lora")
    pixels, tokens = inputs(model)
    with torch.no_grad():
        before = model(pixels, tokens)
    train(model)
    merged = trainable(config)
    merged.clip.load_state_dict(model.clip_tensors(), strict=True)
    with torch.no_grad():
        trained, plain = model(pixels, tokens), merged(pixels, tokens)
    for rows, theirs, old in zip(trained, plain, before, strict=True):
        torch.testing.assert_close(rows, theirs, rtol=0, atol=1e-5)
        assert (rows - old).abs().max() > 1e-3


def test_forward_passes_leave_the_frozen_weights_alone(config):
    model = trainable(config, mode="lora")
    train(model)
    before = {n: t.clone() for n, t in model.state_dict().items()}
    for _ in range(3):
        model(*inputs(model))
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())


def test_untrained_additions_are_zero(config):
    model = trainable(config, mode="lora")
    original = trainable(config).clip.state_dict()
    for name, tensor in model.clip_tensors().items():
        assert torch.equal(tensor, original[name]), name


def test_attention_and_mlp_of_both_towers_are_adapted(tmp_path):
    adapted = {
        name.split(".lora_A.")[0]
        for name in trainable(section("vit", tmp_path), mode="lora").trainable()
        if ".lora_A." in name
    }
    block = ("attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.out_proj", "mlp.c_fc", "mlp.c_proj")
    assert adapted == {
        f"clip.{tower}transformer.resblocks.0.{layer}"
        for tower in ("", "visual.")
        for layer in block
    }


def test_convolutions_and_pooling_of_a_resnet_are_adapted():
    names = set(trainable(DEMO, mode="lora").trainable())
    for layer in ("conv1", "layer3.1.conv2", "attnpool.q_proj", "attnpool.c_proj"):
        assert f"clip.visual.{layer}.lora_A.default.weight" in names


def test_the_random_half_follows_the_seed_alone(tmp_path):
    config = section("vit", tmp_path)
    states = []
    for seed, noise in ((1, 0), (1, 5), (2, 0)):
        torch.manual_seed(noise)
        before = torch.random.get_rng_state()
        states.append(trainable(config, mode="lora", seed=seed).state())
        assert torch.equal(before, torch.random.get_rng_state())
    first, again, other = states
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())
    random = [name for name in first if ".lora_A." in name]
    assert not any(torch.equal(first[name], other[name]) for name in random)
    assert not any(first[name].any() for name in first if ".lora_B." in name)
    # Layers of one shape do not share their draws.
    halves = {tuple(first[name].flatten().tolist()) for name in random}
    assert len(halves) == len(random)


def test_rank_and_scale(tmp_path):
    config = section("vit", tmp_path)
    model = load_open_clip(config).model
    weight = model.visual.transformer.resblocks[0].mlp.c_fc.weight.clone()
    add_lora(model, rank=2, alpha=6.0, seed=1)
    layer = model.visual.transformer.resblocks[0].mlp.c_fc
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    assert a.shape == (2, 32)
    with torch.no_grad():
        b.fill_(1.0)
    merged = merged_tensors(model)["visual.transformer.resblocks.0.mlp.c_fc.weight"]
    torch.testing.assert_close(merged, weight + 3.0 * a.sum(0).expand_as(weight))


def test_a_model_with_nothing_to_adapt_is_refused():
    with pytest.raises(ConfigError, match=r"lora finds no layer to adapt .*Embedding") as caught:
        add_lora(nn.Sequential(nn.Embedding(3, 4)), rank=2, alpha=2.0, seed=1)
    assert "mode: full" in caught.value.hint

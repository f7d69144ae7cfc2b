import copy
import json
import math

import pytest
import torch

from pipeline_lib.backbones.open_clip_weights import load_open_clip
from pipeline_lib.config import ClipConfig
from pipeline_lib.errors import ConfigError, WeightsError
from tests.support.tiny_clip import CONFIG
from tests.support.trainable_clips import DEMO, KINDS, inputs, section, train, trainable


@pytest.fixture(scope="module", params=KINDS)
def config(request, tmp_path_factory):
    return section(request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("mode", ["full", "lora", "head"])
def test_training_starts_from_the_models_own_features(config, mode):
    model = trainable(config, mode=mode)
    pixels, tokens = inputs(model)
    original = load_open_clip(config).model
    with torch.no_grad():
        images, texts = model(pixels, tokens)
        expected = original.encode_image(pixels), original.encode_text(tokens)
    for rows, theirs in zip((images, texts), expected, strict=True):
        theirs = theirs / theirs.norm(dim=1, keepdim=True)
        torch.testing.assert_close(rows, theirs, rtol=0, atol=1e-6)
        assert rows.dtype == torch.float32


@pytest.mark.parametrize("mode", ["full", "lora", "head"])
def test_every_trained_parameter_gets_a_gradient_and_no_other_weight_moves(config, mode):
    model = trainable(config, mode=mode)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    train(model)
    trained = model.trainable()
    assert model.parameter_count == sum(p.numel() for p in trained.values())
    assert [name for name, p in trained.items() if p.grad is None] == []
    moved = {n for n, t in model.state_dict().items() if not torch.equal(t, before[n])}
    assert moved <= set(trained)
    assert {"logit_bias", "clip.logit_scale"} <= set(trained)


def test_what_each_mode_trains():
    sizes = {mode: trainable(DEMO, mode=mode).parameter_count for mode in ("full", "lora", "head")}
    whole = sum(p.numel() for p in load_open_clip(DEMO).model.parameters())
    # Both ends of the image tower's last layer are 320 -> 64; the text projection is 64 x 64.
    assert sizes["head"] == (320 * 64 + 64) + 64 * 64 + 2
    assert sizes["full"] == whole + 1
    assert sizes["head"] < sizes["lora"] < whole / 20


def test_statistics_of_batches_change_nothing():
    model = trainable(DEMO)
    assert not any(module.training for module in model.train().modules())
    pixels, _ = inputs(model)
    with torch.no_grad():
        together = model.encode_images(pixels)
        alone = torch.cat([model.encode_images(picture[None]) for picture in pixels])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


def test_a_frozen_trunks_outputs_can_be_kept(config):
    model = trainable(config, mode="head")
    assert model.trunk_is_frozen
    pixels, tokens = inputs(model)
    trunks = model.trunk_images(pixels), model.trunk_texts(tokens)
    assert not any(trunk.requires_grad for trunk in trunks)
    train(model)
    with torch.no_grad():
        assert torch.equal(model.project_images(trunks[0]), model.encode_images(pixels))
        assert torch.equal(model.project_texts(trunks[1]), model.encode_texts(tokens))
    assert not trainable(config).trunk_is_frozen


@pytest.mark.parametrize("mode", ["full", "lora", "head"])
def test_the_forward_pass_runs_in_bf16(config, mode):
    model = trainable(config, mode=mode)
    pixels, tokens = inputs(model)
    exact = model.encode_images(pixels), model.encode_texts(tokens)
    with torch.autocast("cpu", torch.bfloat16):
        half = model.encode_images(pixels), model.encode_texts(tokens)
    for rows, theirs in zip(half, exact, strict=True):
        assert rows.dtype == torch.float32
        assert not torch.equal(rows, theirs)
        assert ((rows * theirs).sum(1) > 0.99).all()
    (half[0] @ half[1].T).sum().backward()
    assert {p.grad.dtype for p in model.trainable().values() if p.grad is not None} == {
        torch.float32
    }


def test_the_scale_never_exceeds_100_and_can_come_back(tmp_path):
    model = trainable(section("vit", tmp_path))
    assert model.logit_scale.item() == pytest.approx(1 / 0.07)
    with torch.no_grad():
        model.clip.logit_scale.fill_(6.0)
    assert 99.99 < model.logit_scale.item() <= 100
    model.logit_scale.backward()
    assert model.clip.logit_scale.grad.item() == pytest.approx(100, rel=1e-4)
    with torch.no_grad():
        model.clip.logit_scale.fill_(7.0)
    assert model.clip_tensors()["logit_scale"].exp().item() <= 100


def test_norms_biases_and_the_scale_do_not_decay(tmp_path):
    model = trainable(section("vit", tmp_path))
    decayed, plain = model.param_groups(1e-3, 0.1)
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    assert decayed["lr"] == plain["lr"] == 1e-3
    names = {id(p): name for name, p in model.trainable().items()}
    plain_names = {names[id(p)] for p in plain["params"]}
    assert {"clip.logit_scale", "logit_bias", "clip.visual.ln_post.weight"} <= plain_names
    assert "clip.visual.proj" in {names[id(p)] for p in decayed["params"]}
    assert len(decayed["params"]) + len(plain["params"]) == len(names)


@pytest.mark.parametrize("mode", ["full", "lora", "head"])
def test_training_goes_on_from_a_state(config, mode):
    straight, first = trainable(config, mode=mode), trainable(config, mode=mode)
    train(first, steps=2)
    state = first.state()
    resumed = trainable(config, mode=mode)
    resumed.load_state(state)
    train(first, steps=1)  # a state is a copy
    train(straight, steps=2)
    pixels, tokens = inputs(resumed)
    with torch.no_grad():
        for rows, theirs in zip(resumed(pixels, tokens), straight(pixels, tokens), strict=True):
            assert torch.equal(rows, theirs)


def test_a_state_of_another_mode_is_refused(tmp_path):
    config = section("vit", tmp_path)
    with pytest.raises(WeightsError, match="another model or training mode"):
        trainable(config).load_state(trainable(config, mode="head").state())


@pytest.mark.parametrize("kind", ["vit", "timm"])
@pytest.mark.parametrize("mode", ["full", "lora"])
def test_activations_computed_again_give_the_same_gradients(kind, mode, tmp_path):
    config = section(kind, tmp_path)
    kept, again = (
        trainable(config, mode=mode),
        trainable(config, mode=mode, grad_checkpointing=True),
    )
    runs = []
    for model in (kept, again):
        blocks = model.clip.visual
        block = blocks.transformer.resblocks[0] if kind == "vit" else blocks.trunk.stages[0]
        counted = []
        block.register_forward_pre_hook(lambda *_, counted=counted: counted.append(1))
        images, texts = model(*inputs(model))
        (images @ texts.T).diagonal().sum().backward()
        runs.append(len(counted))
    for (name, one), other in zip(
        kept.trainable().items(), again.trainable().values(), strict=True
    ):
        if one.grad is not None:
            torch.testing.assert_close(one.grad, other.grad, msg=name)
    assert runs == [1, 2]


def test_a_tower_that_cannot_compute_activations_again_is_named():
    with pytest.raises(ConfigError, match=r"grad_checkpointing: .* ModifiedResNet") as caught:
        trainable(DEMO, grad_checkpointing=True)
    assert "accumulate" in caught.value.hint


def test_a_tower_without_projection_is_named(tmp_path):
    config = section("timm", tmp_path)
    path = tmp_path / "open_clip_config.json"
    content = json.loads(path.read_text())
    content["model_cfg"]["vision_cfg"]["timm_proj"] = "none"
    path.write_text(json.dumps(content))
    with pytest.raises(
        ConfigError, match=r"mode: head finds no projection .* image tower"
    ) as caught:
        trainable(config, mode="head")
    assert "mode: full or mode: lora" in caught.value.hint


def test_parts_that_no_loss_reaches_stay_frozen(tmp_path):
    """A CoCa's caption writer."""
    content = copy.deepcopy(CONFIG)
    content["model_cfg"]["custom_text"] = True
    content["model_cfg"]["vision_cfg"] |= {"attentional_pool": True, "output_tokens": True}
    content["model_cfg"]["text_cfg"] |= {"embed_cls": True, "output_tokens": True}
    content["model_cfg"]["multimodal_cfg"] = {"width": 32, "heads": 2, "layers": 1}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(content))
    for mode in ("full", "lora", "head"):
        model = trainable(ClipConfig(model=f"local-dir:{tmp_path}", weights="untrained"), mode=mode)
        assert not any("text_decoder" in name for name in model.trainable())
        images, _ = model(*inputs(model))
        assert images.norm(dim=1).tolist() == pytest.approx([1, 1, 1])


def test_a_step_at_the_largest_scale_is_finite(tmp_path):
    model = trainable(section("vit", tmp_path), mode="lora")
    with torch.no_grad():
        model.clip.logit_scale.fill_(math.log(100))
    train(model)
    assert all(p.isfinite().all() for p in model.trainable().values())

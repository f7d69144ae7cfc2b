import copy

import pytest
import torch
from torch import nn

from pipeline_lib.networks.mobileclip import (
    MobileClip,
    MobileClipShape,
    fuse,
    is_reparameterised,
    reparameterise,
)
from pipeline_lib.networks.mobileclip_image import ImageShape
from pipeline_lib.networks.mobileclip_text import TextShape
from pipeline_lib.networks.text_prompt import PromptLearner
from pipeline_lib.networks.text_towers import prompt_text_features, text_tower
from tests.parity.golden import fill
from tests.parity.mobileclip import shape_of
from tests.support.text_models import tokenizer

SMALL = MobileClipShape(
    ImageShape(widths=(8, 16, 32, 64), depths=(1, 2, 1, 1), final=128, dim=24),
    TextShape(layers=("repmixer", "attention", "repmixer"), width=64, hidden=128, dim=24),
)
TEXTS = ["a video of a cat.", "쓰러짐", "a"]


def small_network(seed=0):
    """A small MobileCLIP whose norms and layer scales are as uneven as after training."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = MobileClip(SMALL)
        for name, tensor in network.state_dict().items():
            if name.endswith("running_mean"):
                tensor.normal_(std=0.3)
            elif name.endswith("running_var"):
                tensor.uniform_(0.5, 2)
            elif "layer_scale" in name:
                tensor.normal_()
            elif tensor.dim() == 1 and tensor.is_floating_point():
                tensor.normal_(1, 0.3)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def network():
    return small_network()


@pytest.fixture
def pixels():
    return torch.rand(3, 3, 64, 96, generator=torch.Generator().manual_seed(1))


def assert_same(made, expected):
    assert (made - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_tensors_are_those_of_the_published_checkpoint():
    published = fill.manifest("mobileclip_s0")["state_dict"]
    with torch.device("meta"):
        made = MobileClip()
    assert {name: list(tensor.shape) for name, tensor in made.state_dict().items()} == published
    assert sum(p.numel() for p in made.image_encoder.parameters()) == 11_406_464
    assert sum(p.numel() for p in made.text_encoder.parameters()) == 42_441_216


@pytest.mark.parametrize("change", [fuse, reparameterise])
def test_fused_network_computes_the_same(change, network, pixels):
    fused = copy.deepcopy(network)
    change(fused)
    ids = tokenizer()(TEXTS)
    assert_same(fused.encode_image(pixels), network.encode_image(pixels))
    assert_same(fused.encode_text(ids), network.encode_text(ids))


def test_a_published_fused_network_is_fused_further(network, pixels):
    fused = copy.deepcopy(network)
    reparameterise(fused)
    fuse(fused)
    fuse(fused)
    assert_same(fused.encode_image(pixels), network.encode_image(pixels))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())


def test_names_of_the_published_fused_form(network):
    fused = copy.deepcopy(network)
    reparameterise(fused)
    names = set(fused.state_dict())
    image = "image_encoder.model."
    assert {
        f"{image}patch_embed.1.reparam_conv.weight",
        f"{image}network.0.0.token_mixer.reparam_conv.bias",
        f"{image}network.0.0.layer_scale",
        f"{image}network.0.0.convffn.conv.bn.running_mean",
        f"{image}network.3.proj.0.lkb_reparam.weight",
        f"{image}network.3.proj.0.se.fc1.weight",
        f"{image}network.3.proj.1.reparam_conv.weight",
        f"{image}network.6.reparam_conv.weight",
        f"{image}network.7.0.norm.running_mean",
        f"{image}conv_exp.reparam_conv.weight",
        f"{image}conv_exp.se.reduce.weight",
        "text_encoder.transformer.0.token_mixer.reparam_conv.weight",
    } <= names
    assert not any("rbr_" in name or "lkb_origin" in name for name in names)
    assert is_reparameterised(names)
    assert not is_reparameterised(network.state_dict())


def test_sizes_are_read_from_either_form(network):
    fused = copy.deepcopy(network)
    reparameterise(fused)
    for form in (network, fused):
        shapes = {name: list(tensor.shape) for name, tensor in form.state_dict().items()}
        assert shape_of(shapes) == SMALL


def test_pictures_of_any_size(network):
    for size in (32, 80, 224):
        assert network.encode_image(torch.rand(2, 3, size, size)).shape == (2, 24)


def test_text_in_two_halves(network):
    ids = tokenizer()(TEXTS)
    encoder = network.text_encoder
    halves = encoder.encode(encoder.embed(ids), torch.tensor([7, 9, 2]))
    torch.testing.assert_close(halves, network.encode_text(ids))


def test_padding_is_part_of_the_text(network):
    ids = tokenizer()(TEXTS)
    other = ids.clone()
    other[other == 0] = 5
    assert not torch.allclose(network.encode_text(ids), network.encode_text(other), atol=1e-3)


def test_positions_are_spread_over_other_lengths(network):
    encoder = copy.deepcopy(network.text_encoder)
    table = encoder.positional_embedding.pos_embed["pos_embed"]
    table.copy_(torch.arange(77.0).view(1, 1, 77, 1).expand_as(table))
    spread = encoder.positional_embedding(7)
    torch.testing.assert_close(spread[0, :, 0], torch.arange(7.0) * 11 + 5)
    assert torch.equal(encoder.positional_embedding(77), table[0])


def test_gradients_reach_the_embeddings_through_either_form(network):
    fused = copy.deepcopy(network)
    fuse(fused)
    gradients = []
    for form in (network, fused):
        tower = text_tower(form, tokenizer(), weights_sha256="")
        ids = tower.tokenize(TEXTS)
        embeddings = tower.embed(ids).requires_grad_()
        tower.encode(embeddings, tower.eot(ids)).square().sum().backward()
        gradients.append(embeddings.grad)
    assert_same(gradients[1], gradients[0])
    assert gradients[0].abs().max() > 0


def test_text_tower(network):
    model = copy.deepcopy(network).train().requires_grad_(True)
    model.logit_scale.data.fill_(4.605170186)
    tower = text_tower(model, tokenizer(), weights_sha256="abc")
    assert (tower.width, tower.dim, tower.context_length) == (64, 24, 77)
    assert tower.logit_scale == pytest.approx(100)
    assert (tower.causal, tower.weights_sha256) == (False, "abc")
    assert tower.fragments("쓰러짐")
    assert not any(module.training for module in model.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())
    expected = model.encode_text(tokenizer()(TEXTS))
    made = prompt_text_features(tower, TEXTS)
    torch.testing.assert_close(made, nn.functional.normalize(expected, dim=-1))


def test_training_prompts_leaves_the_batch_norms_alone(network):
    model = copy.deepcopy(network).train().requires_grad_(True)
    tower = text_tower(model, tokenizer(), weights_sha256="")
    names = ["fall", "road accident", "normal"]
    learner = PromptLearner(tower, names, 0.02 * torch.randn(4, 64)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert any(name.endswith("running_mean") for name in before if "text_encoder" in name)
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.normalize(learner(), dim=-1)[:, 0].sum().backward()
        optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    with pytest.raises(ValueError, match="reads 77 tokens, padding included, not 20"):
        tower.encode(torch.zeros(1, 20, 64), torch.tensor([5]))


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:DeprecationWarning")
def test_a_traced_network_names_no_operator_of_one_engine(network, pixels):
    fused = copy.deepcopy(network)
    fuse(fused)
    traced = torch.jit.trace(fused.image_encoder, pixels, check_trace=False)
    assert "mkldnn" not in str(traced.inlined_graph)
    assert_same(traced(pixels), network.encode_image(pixels))

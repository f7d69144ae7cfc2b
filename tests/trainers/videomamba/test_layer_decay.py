import pytest
import torch

from pipeline_lib.networks.videomamba import VideoMamba, VideoMambaShape
from pipeline_lib.trainers.videomamba.layer_decay import decays, layer_of, parameter_groups

SHAPE = VideoMambaShape(
    embed_dim=16, depth=3, patch_size=16, tubelet=1, frames=2, image_size=32
)  # fmt: skip


@pytest.fixture(scope="module")
def network():
    return VideoMamba(SHAPE, 4)


def groups(network, rule, layer_decay=0.5, depth=3):
    return parameter_groups(
        network.named_parameters(), depth, layer_decay=layer_decay, rule=rule, weight_decay=0.1
    )


def scales(network, rule, layer_decay=0.5):
    """What each parameter's rate is multiplied by, and its decay, by name."""
    name_of = {id(parameter): name for name, parameter in network.named_parameters()}
    return {
        name_of[id(parameter)]: (group["lr_scale"], group["weight_decay"])
        for group in groups(network, rule, layer_decay)
        for parameter in group["params"]
    }


def test_blocks_are_counted_from_the_input(network):
    found = {name: scale for name, (scale, _) in scales(network, "depth").items()}
    assert found.keys() == dict(network.named_parameters()).keys()
    for name in ("cls_token", "pos_embed", "temporal_pos_embedding", "patch_embed.proj.weight"):
        assert found[name] == 0.5**4
    for block in range(3):
        of_block = {s for name, s in found.items() if name.startswith(f"layers.{block}.")}
        assert of_block == {0.5 ** (3 - block)}
    assert found["norm_f.weight"] == found["head.weight"] == found["head.bias"] == 1


def test_published_runs_slowed_down_the_embeddings_alone(network):
    found = {name: scale for name, (scale, _) in scales(network, "reference").items()}
    slow = {name for name, scale in found.items() if scale != 1}
    assert slow == {"cls_token", "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias"}
    assert {found[name] for name in slow} == {0.5**4}


@pytest.mark.parametrize(("decay", "depth", "scale"), [(0.75, 24, 7.5e-4), (0.8, 32, 6.3e-4)])
def test_the_slowest_rates_of_published_runs(decay, depth, scale):
    named = [("cls_token", torch.nn.Parameter(torch.zeros(1, 1, 2)))]
    (group,) = parameter_groups(named, depth, layer_decay=decay, rule="reference", weight_decay=0.1)
    assert group["lr_scale"] == pytest.approx(scale, rel=0.02)
    assert group["weight_decay"] == 0


def test_the_last_block_stands_right_before_the_head():
    assert layer_of("layers.23.mixer.D", 24, "depth") == 24
    assert layer_of("layers.2.mixer.D", 24, "depth") == 3
    assert layer_of("head.weight", 24, "depth") == 25


def test_what_decays(network):
    found = {name: decay for name, (_, decay) in scales(network, "depth").items()}
    still = {name.removeprefix("layers.0.") for name, decay in found.items() if not decay}
    assert {name for name in still if not name.startswith("layers.")} == {
        "cls_token", "pos_embed", "temporal_pos_embedding", "patch_embed.proj.bias",
        "norm.weight", "norm_f.weight", "head.bias",
        *(f"mixer.{name}" for name in ("A_log", "A_b_log", "D", "D_b")),
        *(f"mixer.{name}.bias" for name in ("conv1d", "conv1d_b", "dt_proj", "dt_proj_b")),
    }  # fmt: skip
    assert found["head.weight"] == found["layers.0.mixer.conv1d.weight"] == 0.1


@pytest.mark.parametrize(("rule", "decayed"), [("depth", False), ("reference", True)])
@pytest.mark.parametrize("name", ["A_log", "A_b_log"])
def test_only_published_runs_let_the_recurrence_decay(rule, decayed, name):
    rates = torch.nn.Parameter(torch.zeros(4, 16))
    assert decays(f"layers.0.mixer.{name}", rates, rule) is decayed


def test_groups_stand_in_the_order_of_the_layers(network):
    found = [(g["lr_scale"], g["weight_decay"]) for g in groups(network, "depth")]
    assert found == [(0.5 ** (4 - layer), decay) for layer in range(5) for decay in (0.1, 0.0)]
    assert sum(len(g["params"]) for g in groups(network, "depth")) == len(
        list(network.parameters())
    )

"""VideoMamba computes what its definition says, under the published names."""

import time

import pytest
import torch
import torch.nn.functional as F

from pipeline_lib.config import VideoMambaModelConfig
from pipeline_lib.errors import ConfigError
from pipeline_lib.networks.videomamba import SIZES, VideoMamba, VideoMambaShape, resolve_shape
from pipeline_lib.networks.videomamba_block import DropPath, Mixer, State
from tests.parity.golden import fill
from tests.support import plain_videomamba as plain

NANO = VideoMambaShape(embed_dim=48, depth=4, patch_size=8, tubelet=1, frames=4, image_size=32)


def nano(seed=0, **options):
    torch.manual_seed(seed)
    return VideoMamba(NANO, 6, **options)


def filled(shape=NANO, classes=6, **options):
    """In fp64, with values that reach over many tokens."""
    network = VideoMamba(shape, classes, **options)
    tensors = {
        name: torch.from_numpy(fill.weight(name, tensor.shape))
        for name, tensor in network.state_dict().items()
    }
    network.load_state_dict(tensors)
    return network.double()


def clip_of(shape, batch=2):
    generator = torch.Generator().manual_seed(0)
    size = (batch, 3, shape.frames, shape.image_size, shape.image_size)
    return torch.randn(size, generator=generator, dtype=torch.float64)


def set_steps(network, bias):
    for name, parameter in network.named_parameters():
        if name.endswith(("dt_proj.bias", "dt_proj_b.bias")):
            parameter.data.fill_(bias)


def relative(found, wanted):
    return ((found - wanted).abs().max() / wanted.abs().max().clamp_min(1e-300)).item()


def test_every_block_equals_its_definition():
    network, clip = filled(), clip_of(NANO)
    with torch.no_grad():
        tokens = network.embed(clip)
        wanted = plain.states(network.state_dict(), plain.embed(network.state_dict(), clip))
        assert relative(tokens, plain.embed(network.state_dict(), clip)) < 1e-14
        found = network.run(tokens, range(4))
    for state, (hidden, residual) in zip(found, wanted, strict=True):
        assert isinstance(state, State)
        assert relative(state.hidden, hidden) < 1e-10
        assert relative(state.residual, residual) < 1e-10


@pytest.mark.parametrize("tubelet", [1, 2])
@pytest.mark.parametrize("bias", [None, 0.0, -4.0], ids=["filled", "reference", "long"])
def test_outputs_and_all_gradients_equal_their_definition(tubelet, bias):
    shape = VideoMambaShape(
        embed_dim=24, depth=3, patch_size=8, tubelet=tubelet, frames=4, image_size=16
    )
    network, clip, target = filled(shape), clip_of(shape), torch.tensor([1, 4])
    if bias is not None:
        set_steps(network, bias)
    loss = F.cross_entropy(network(clip), target)
    found = torch.autograd.grad(loss, list(network.parameters()))
    tensors = {name: value.detach().clone().requires_grad_() for name, value in
               network.named_parameters()}  # fmt: skip
    wanted_loss = F.cross_entropy(plain.logits(tensors, clip), target)
    wanted = torch.autograd.grad(wanted_loss, list(tensors.values()))
    assert loss.item() == pytest.approx(wanted_loss.item(), rel=1e-12)
    for name, own, other in zip(tensors, found, wanted, strict=True):
        assert relative(own, other) < 1e-7, name
    with torch.no_grad():
        assert relative(network.features(clip), plain.features(tensors, clip)) < 1e-9


def test_tensors_have_the_published_names_and_shapes():
    with torch.device("meta"):
        network = VideoMamba(resolve_shape(VideoMambaModelConfig()), 400)
    found = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    assert found == fill.manifest("videomamba_tiny_f8")["state_dict"]


@pytest.mark.parametrize(
    ("size", "frames", "classes", "temporal", "parameters"),
    [
        ("tiny", 8, 400, True, 7_033_744),
        ("small", 8, 400, True, 25_568_656),
        ("middle", 8, 400, True, 73_875_856),
        ("middle", 16, 174, True, 73_750_062),
        ("tiny", 1, 1000, False, 7_148_008),
        ("small", 1, 1000, False, 25_796_584),
        ("middle", 1, 1000, False, 74_217_448),
    ],
)
def test_published_numbers_of_parameters(size, frames, classes, temporal, parameters):
    embed_dim, depth = SIZES[size]
    shape = VideoMambaShape(
        embed_dim=embed_dim, depth=depth, patch_size=16, tubelet=1, frames=frames,
        image_size=224, temporal=temporal,
    )  # fmt: skip
    with torch.device("meta"):
        network = VideoMamba(shape, classes)
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert len(network.state_dict()) == {24: 416, 32: 552}[depth] - (not temporal)


def test_step_sizes_are_made_from_a_sixteenth_of_the_width_rounded_up():
    for width, rank in ((16, 1), (40, 3), (48, 3)):
        mixer = Mixer(width)
        assert mixer.dt_proj_b.weight.shape == (2 * width, rank)
        assert mixer.x_proj.weight.shape == (rank + 32, 2 * width)


def test_tokens_run_frame_by_frame_and_row_by_row():
    network = nano().double()
    clip = clip_of(NANO, 1)
    with torch.no_grad():
        before = network.embed(clip)
        clip[0, :, 2, 8:16, 16:24] += 1  # frame 2, second row, third column
        changed = (network.embed(clip) != before).any(-1).squeeze(0).nonzero().flatten()
    assert changed.tolist() == [1 + 2 * 16 + 1 * 4 + 2]
    assert NANO.tokens == 65


def perturbed(network, patch):
    """How much the outputs change with one patch, counted from 1."""
    tokens = network.embed(clip_of(NANO, 1))
    other = tokens.clone()
    other[:, patch] += 1
    last = len(network.layers) - 1
    with torch.no_grad():
        one, two = (
            network.head(network.norm_f(sum(network.run(t, {last})[0]))[:, 0])
            for t in (tokens, other)
        )
    return (one - two).abs().max().item()


def test_the_class_token_sees_the_last_patch_only_by_the_backward_direction():
    network = filled()
    set_steps(network, -4.0)
    assert perturbed(network, 64) > 1e-9
    for layer in network.layers:
        mixer = layer.mixer
        # Without a way through state or skip, nothing comes back from that direction.
        for parameter in (mixer.x_proj_b.weight, mixer.D_b):
            parameter.data.zero_()
    assert perturbed(network, 64) == 0


def test_a_mixer_with_its_directions_swapped_flips_its_output():
    torch.manual_seed(0)
    mixer = filled().layers[0].mixer
    swapped = Mixer(NANO.embed_dim).double()
    own = mixer.state_dict()
    swapped.load_state_dict({other(name): value for name, value in own.items()})
    x = torch.randn(20, 2, NANO.embed_dim, dtype=torch.float64)
    with torch.no_grad():
        assert relative(swapped(x.flip(0)).flip(0), mixer(x)) < 1e-14


def other(name):
    """The name of the same tensor of the other direction."""
    shared = ("in_proj", "out_proj")
    if name.startswith(shared):
        return name
    if name in ("A_log", "A_b_log"):
        return "A_b_log" if name == "A_log" else "A_log"
    layer, _, leaf = name.partition(".")
    turned = layer.removesuffix("_b") if layer.endswith("_b") else f"{layer}_b"
    return f"{turned}.{leaf}" if leaf else turned


def test_published_initialisation_cannot_see_far_and_mambas_own_can():
    reference, own = nano(init="reference").double(), nano(init="mamba-dt").double()
    assert perturbed(reference, 1) > 1e-4
    assert perturbed(reference, 48) < 1e-12
    assert perturbed(own, 64) > 1e3 * perturbed(reference, 64)
    assert perturbed(own, 64) > 1e-9


def test_weights_start_as_published():
    network = nano(init="reference")
    mixer = network.layers[2].mixer
    torch.testing.assert_close(
        mixer.A_b_log, torch.arange(1.0, 17).log().expand(96, 16), rtol=0, atol=0
    )
    assert (mixer.D == 1).all()
    assert (mixer.dt_proj.bias == 0).all()
    assert (network.cls_token == 0).all()
    assert (network.temporal_pos_embedding == 0).all()
    assert network.pos_embed.std().item() == pytest.approx(0.02, rel=0.1)
    assert mixer.in_proj.weight.std().item() == pytest.approx(0.02, rel=0.1)
    # kaiming_uniform with a = sqrt(5) is uniform within 1/sqrt(inputs), then divided.
    largest = mixer.out_proj.weight.abs().max().item()
    assert largest == pytest.approx(96**-0.5 / 4**0.5, rel=0.01)


def test_mambas_steps_lie_between_a_thousandth_and_a_tenth():
    for bias in (nano().layers[1].mixer.dt_proj.bias, nano().layers[1].mixer.dt_proj_b.bias):
        steps = F.softplus(bias)
        assert steps.min().item() >= 0.999e-3
        assert steps.max().item() <= 0.1001
        # Log-uniform: as many below a hundredth as above.
        assert (steps < 1e-2).float().mean().item() == pytest.approx(0.5, abs=0.2)
    # Of so many draws some come near the end.
    biases = [layer.mixer.dt_proj.bias for layer in nano().layers]
    assert F.softplus(torch.cat(biases)).max().item() > 0.096


def test_positions_are_as_large_as_asked_for():
    shape = VideoMambaShape(embed_dim=64, depth=1, patch_size=8, tubelet=1, frames=8, image_size=64)
    usual, larger = VideoMamba(shape, 2), VideoMamba(shape, 2, position_std=0.5)
    assert usual.pos_embed.std().item() == pytest.approx(0.02, rel=0.1)
    assert usual.temporal_pos_embedding.abs().max().item() == 0
    for positions in (larger.pos_embed, larger.temporal_pos_embedding):
        assert positions.std().item() == pytest.approx(0.5, rel=0.15)


def test_outputs_are_not_rounded_to_half_precision():
    network = nano()
    with torch.autocast("cpu", torch.bfloat16):
        assert network(torch.zeros(1, 3, 4, 32, 32)).dtype == torch.float32


def test_unknown_initialisation():
    with pytest.raises(ConfigError, match="'refrence' is unknown"):
        nano(init="refrence")


def test_some_outputs_of_the_last_block_equal_those_of_all():
    network = filled()
    with torch.no_grad():
        tokens = network.embed(clip_of(NANO))
        (whole,), (part,) = network.run(tokens, {3}), network.run(tokens, {3}, outputs=3)
    assert part.hidden.shape == part.residual.shape == (2, 3, 48)
    assert relative(part.hidden, whole.hidden[:, :3]) < 1e-13
    assert relative(part.residual, whole.residual[:, :3]) < 1e-13


def test_recomputing_activations_leaves_gradients_alone():
    plainly, again = nano(), nano()
    again.set_grad_checkpointing()
    clip = clip_of(NANO).float()
    for network in (plainly, again):
        network(clip).square().sum().backward()
    for one, two in zip(plainly.parameters(), again.parameters(), strict=True):
        assert torch.equal(one.grad, two.grad)


def test_paths_are_dropped_as_published():
    network = nano(drop_path=0.3)
    rates = [layer.drop_path.rate for layer in network.layers]
    assert rates == pytest.approx([0, 0, 0.1, 0.2])
    assert network.drop_path.rate == 0.3
    drop, x = DropPath(0.25).train(), torch.ones(3, 1000, 2)
    torch.manual_seed(0)
    out = drop(x)
    assert out.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (out == out[:1, :, :1]).all()  # whole samples
    assert (out == 0).float().mean().item() == pytest.approx(0.25, abs=0.05)
    assert torch.equal(drop.eval()(x), x)


def test_a_dropped_sample_loses_what_the_block_before_added():
    network, clip = filled(drop_path=0.3).train(), clip_of(NANO)
    # Of two samples: into the four blocks, and into the last norm.
    kept = torch.tensor([[1, 1], [1, 1], [0, 1], [1, 0], [0, 1]])
    shares = kept / (1 - torch.tensor([0, 0, 0.1, 0.2, 0.3], dtype=torch.float64))[:, None]
    for drop, samples in zip(
        [*(layer.drop_path for layer in network.layers), network.drop_path], kept, strict=True
    ):
        drop.kept = samples.bool()
    tensors = network.state_dict()
    with torch.no_grad():
        hidden, residual = plain.states(tensors, plain.embed(tensors, clip), shares)[-1]
        last = plain.rms_norm(residual + shares[4][:, None, None] * hidden, network.norm_f.weight)
        assert relative(network.features(clip), last[:, 0]) < 1e-7
        assert relative(network.eval().features(clip), plain.features(tensors, clip)) < 1e-9


def test_half_precision_stays_near_and_its_residual_wide():
    network, clip = nano().eval(), clip_of(NANO).float()
    seen = []
    network.layers[2].register_forward_hook(lambda _m, _i, out: seen.append(out))
    with torch.no_grad():
        wanted = network(clip)
        with torch.autocast("cpu", torch.bfloat16):
            found = network(clip)
    assert seen[1].residual.dtype == torch.float32
    assert seen[1].hidden.dtype == torch.bfloat16
    assert relative(found.float(), wanted) < 0.05


def test_pictures_have_no_positions_of_frames():
    shape = VideoMambaShape(
        embed_dim=48, depth=1, patch_size=8, tubelet=1, frames=1, image_size=32, temporal=False
    )
    network = VideoMamba(shape, 3)
    assert "temporal_pos_embedding" not in network.state_dict()
    assert network(torch.zeros(2, 3, 1, 32, 32)).shape == (2, 3)


def test_a_clip_of_another_size_is_refused():
    with pytest.raises(ConfigError, match=r"clips of \[3, 4, 32, 32\].*not \[3, 8, 32, 32\]"):
        nano()(torch.zeros(1, 3, 8, 32, 32))


def test_shapes_come_from_sizes_and_from_what_replaces_them():
    shape = resolve_shape(VideoMambaModelConfig(size="middle", frames=16, tubelet=2))
    assert (shape.embed_dim, shape.depth, shape.steps, shape.patches) == (576, 32, 8, 196)
    assert shape.tokens == 1569
    small = resolve_shape(VideoMambaModelConfig(embed_dim=48, depth=2, image_size=64))
    assert (small.embed_dim, small.depth, small.grid) == (48, 2, 4)


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"frames": 9, "tubelet": 2}, r"model\.frames = 9 .* tubelet = 2", "8 or 10"),
        ({"image_size": 100}, r"model\.image_size = 100 .* patch_size = 16", "96 or 112"),
        ({"image_size": 8}, r"model\.image_size = 8 ", "to 16"),
    ],
)
def test_what_cannot_be_cut_into_patches_is_refused(options, message, hint):
    with pytest.raises(ConfigError, match=message.replace("model", r"(train\.videomamba\.)?model")
                       ) as caught:  # fmt: skip
        resolve_shape(VideoMambaModelConfig(**options))
    assert hint in caught.value.hint


def test_the_same_seed_draws_the_same_network():
    one, two = nano(3).state_dict(), nano(3).state_dict()
    assert all(map(torch.equal, one.values(), two.values()))


@pytest.mark.slow
def test_time_grows_with_the_frames_and_not_with_their_square():
    def seconds(frames):
        shape = VideoMambaShape(
            embed_dim=48, depth=2, patch_size=8, tubelet=1, frames=frames, image_size=64
        )
        network, clip, times = VideoMamba(shape, 4).eval(), torch.zeros(1, 3, frames, 64, 64), []
        with torch.no_grad():
            for _ in range(6):
                start = time.process_time()
                network(clip)
                times.append(time.process_time() - start)
        return min(times)

    seconds(8)
    assert seconds(32) / seconds(8) < 5

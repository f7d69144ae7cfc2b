import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pipeline_lib.errors import ConfigError
from pipeline_lib.networks.masked_videomamba import MaskedVideoMamba, sine_table, visible_tokens
from pipeline_lib.networks.masking import draw_mask
from pipeline_lib.networks.videomamba_shape import VideoMambaShape
from pipeline_lib.trainers.videomamba_pretrain.losses import alignment_loss

SHAPE = VideoMambaShape(
    embed_dim=24, depth=4, patch_size=8, tubelet=1, frames=4, image_size=32
)  # fmt: skip
B, DIM = 2, 12
VISIBLE = 1 + 4 * (16 - int(16 * 0.8))


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def student(seed=0, shape=SHAPE, **options):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = MaskedVideoMamba(shape, DIM, **options)
        with torch.no_grad():  # positions and norms that matter
            for name, parameter in made.named_parameters():
                if "pos_embed" in name or "norm" in name or name == "cls_token":
                    parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return made


def given(seed=1, layers=1):
    generator = torch.Generator().manual_seed(seed)
    clip = torch.randn(B, 3, 4, 32, 32, generator=generator)
    masks = [draw_mask("tube", 0.8, 4, 4, np.random.default_rng(n)) for n in range(B)]
    target = F.normalize(torch.randn(layers, B, VISIBLE, DIM, generator=generator), dim=-1)
    return clip, torch.from_numpy(np.stack(masks)), target


def without_gradient(network, layers=1):
    clip, mask, target = given(layers=layers)
    alignment_loss(network(clip, mask), target, "l2").mean().backward()
    return {
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is None or not bool(parameter.grad.abs().sum())
    }


def test_visible_tokens_keep_their_order():
    tokens = torch.arange(10.0).view(2, 5, 1)
    mask = torch.tensor([[0, 1, 0, 0, 1], [0, 0, 1, 1, 0]], dtype=torch.bool)
    assert visible_tokens(tokens, mask)[..., 0].tolist() == [[0, 2, 3], [5, 6, 9]]
    both = visible_tokens(torch.stack([tokens, -tokens]), mask)
    assert both.shape == (2, 2, 3, 1)
    assert both[1, 1, :, 0].tolist() == [-5, -6, -9]


def test_sines_by_hand():
    table = sine_table(5, 6)
    assert table.shape == (1, 5, 6)
    for position in range(5):
        for column in range(6):
            angle = position / 10000 ** (2 * (column // 2) / 6)
            wanted = math.cos(angle) if column % 2 else math.sin(angle)
            assert float(table[0, position, column]) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("layers", [1, 2])
def test_outputs_are_unit_vectors_of_the_visible_tokens(layers):
    clip, mask, _ = given()
    made = student(aligned_layers=layers)(clip, mask)
    assert made.shape == (layers, B, VISIBLE, DIM)
    torch.testing.assert_close(made.norm(dim=-1), torch.ones(layers, B, VISIBLE))


def test_nothing_hidden_is_seen():
    network, (clip, mask, _) = student().eval(), given()
    with torch.no_grad():
        made = network(clip, mask)
        frames = mask[:, 1:].view(B, 1, 4, 4, 4)
        hidden = frames.repeat_interleave(8, dim=3).repeat_interleave(8, dim=4)
        changed = torch.where(hidden, torch.randn_like(clip), clip)
        assert torch.equal(network(changed, mask), made)
        assert not torch.equal(network(torch.where(hidden, clip, -clip), mask), made)


def test_aligned_layers_are_the_outputs_of_their_blocks():
    network, (clip, mask, _) = student(aligned_layers=2, layer_interval=2).eval(), given()
    with torch.no_grad():
        made = network(clip, mask)
        states = network.run(visible_tokens(network.embed(clip), mask), {0, 1, 2, 3})
        places = visible_tokens(sine_table(65, 24).expand(B, -1, -1), mask)
        for decoder, layer, found in zip(network.clip_decoder, (1, 3), made, strict=True):
            output = network.norm(states[layer].hidden + states[layer].residual) + places
            wanted = F.normalize(decoder.norm(decoder.head(output)), dim=-1)
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_dropped_sample_is_compared_without_what_the_last_block_adds():
    network, (clip, mask, _) = student(drop_path=0.5, aligned_layers=2).train(), given()
    drops = [layer.drop_path for layer in network.layers]
    for drop in drops:
        drop.kept = torch.ones(B, dtype=torch.bool)
    # Into the last block, and behind it.
    drops[-1].kept, network.drop_path.kept = torch.tensor([[True, False], [False, True]])
    with torch.no_grad():
        made = network(clip, mask)
        states = network.run(visible_tokens(network.embed(clip), mask), {2, 3})
        places = visible_tokens(sine_table(65, 24).expand(B, -1, -1), mask)
        rates = (drops[-1].rate, network.drop_path.rate)
        for k, (state, rate, kept) in enumerate(zip(states, rates, (0, 1), strict=True)):
            share = torch.zeros(B, 1, 1)
            share[kept] = 1 / (1 - rate)
            decoder = network.clip_decoder[k]
            output = network.norm(state.residual + share * state.hidden) + places
            wanted = F.normalize(decoder.norm(decoder.head(output)), dim=-1)
            torch.testing.assert_close(made[k], wanted, rtol=1e-4, atol=1e-5)


def test_the_published_number_of_parameters():
    sizes = {"embed_dim": 576, "depth": 32, "patch_size": 16, "tubelet": 1}
    with torch.device("meta"):
        made = MaskedVideoMamba(VideoMambaShape(**sizes, frames=8, image_size=224), 512)
    assert sum(parameter.numel() for parameter in made.parameters()) == 73_941_504


@pytest.mark.parametrize(("layers", "interval"), [(1, 1), (3, 1), (2, 3)])
def test_every_block_learns(layers, interval):
    network = student(aligned_layers=layers, layer_interval=interval)
    assert without_gradient(network, layers) == set()


@pytest.mark.parametrize("layers", [1, 2])
def test_as_published_the_last_block_rests(layers):
    network = student(aligned_layers=layers, alignment="reference")
    resting = {name for name, p in network.named_parameters() if not p.requires_grad}
    assert without_gradient(network, layers) == resting
    last = {name for name, _ in network.named_parameters() if name.startswith("layers.3.")}
    assert resting == (last | {"norm.weight"} if layers == 1 else last)


def test_names_are_the_published_ones():
    names = set(student(aligned_layers=2).state_dict())
    heads = {f"clip_decoder.{k}.{m}.{p}" for k in "01" for m in ("head", "norm")
             for p in ("weight", "bias")}  # fmt: skip
    fixed = {"cls_token", "pos_embed", "temporal_pos_embedding", "norm.weight"}
    patches = {"patch_embed.proj.weight", "patch_embed.proj.bias"}
    assert {name for name in names if not name.startswith("layers.")} == heads | fixed | patches


def test_too_many_layers_are_told():
    with pytest.raises(ConfigError, match="aligned_layers = 3 with layer_interval = 2"):
        student(aligned_layers=3, layer_interval=2)


def test_sixty_steps_learn_two_clips_by_heart():
    network, (clip, mask, target) = student(), given()
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    losses = []
    for _ in range(60):
        loss = alignment_loss(network(clip, mask), target, "l2").mean()
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[0] > 1.5
    assert losses[-1] < 0.1


def test_recomputing_and_half_precision():
    clip, mask, target = given()
    plain, again = student(), student()
    again.set_grad_checkpointing()
    for network in (plain, again):
        alignment_loss(network(clip, mask), target, "l2").sum().backward()
    pairs = zip(plain.parameters(), again.parameters(), strict=True)
    for one, other in pairs:
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = plain(clip, mask)
    assert half.dtype == torch.float32
    assert float((half * plain(clip, mask)).sum(-1).detach().min()) > 0.99

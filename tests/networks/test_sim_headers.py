import pytest
import torch
import torch.nn.functional as F

from pipeline_lib.networks.clip_shape import ClipShape, clip_shape
from pipeline_lib.networks.sim_headers import (
    CrossHeader,
    Header,
    LstmHeader,
    MeanHeader,
    TransformerHeader,
    new_header,
)
from tests.support.retrieval_models import HEADERS, Shape, network, opened, random_clip

CLIPS = 5


def shape(width: int = 32) -> ClipShape:
    text = {"text_width": width, "text_layers": 6, "text_heads": 2, "text_hidden": 4 * width}
    vision = {"vision_width": 48, "vision_layers": 2, "vision_heads": 2, "vision_hidden": 192}
    sizes = {"embed_dim": 32, "image_size": 16, "patch_size": 4}
    return ClipShape(**sizes, **text, **vision, context_length=77, vocab_size=9, quick_gelu=True)


def header(kind: str, gate: float = 0.0) -> Header:
    made = new_header(kind, shape(), CLIPS)
    made.reset_parameters(torch.Generator().manual_seed(0), {})
    if gate:
        torch.nn.init.constant_(made.gate, gate)
    return made


def clips() -> torch.Tensor:
    return torch.randn(3, CLIPS, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("meanP", MeanHeader),
        ("seqTransf", TransformerHeader),
        ("seqLSTM", LstmHeader),
        ("tightTransf", CrossHeader),
    ],
)
def test_every_header_starts_as_the_mean(kind, expected):
    made = header(kind)
    assert isinstance(made, expected)
    assert torch.equal(made(clips()), clips())


@pytest.mark.parametrize("kind", ["seqTransf", "seqLSTM"])
def test_sequence_headers_see_the_order_and_one_video_at_a_time(kind):
    made, x = header(kind, gate=1.0), clips()
    out = made(x)
    assert out.shape == x.shape
    assert (made(x[1:2]) - out[1:2]).abs().max() < 1e-6
    assert (made(x.flip(1)).mean(1) - out.mean(1)).abs().max() > 1e-5


def test_the_cross_encoder_scores_pairs_and_starts_as_the_cosine():
    text, x = F.normalize(torch.randn(4, 32), dim=-1), clips()
    cosine = text @ F.normalize(x.mean(1), dim=-1).T
    assert torch.allclose(header("tightTransf").rerank(text, x), cosine, atol=1e-6)
    made = header("tightTransf", gate=1.0)
    scores = made.rerank(text, x)
    assert scores.shape == (4, 3)
    assert (scores - cosine).abs().max() > 1e-2
    for t in range(4):
        for v in range(3):
            alone = made.rerank(text[t : t + 1], x[v : v + 1])
            assert torch.allclose(alone, scores[t : t + 1, v : v + 1], atol=1e-6)
    assert torch.equal(made(x), x)


@pytest.mark.parametrize("kind", HEADERS[1:])
def test_every_parameter_learns_once_the_gate_is_open(kind):
    made = header(kind, gate=1e-2)
    if isinstance(made, CrossHeader):
        made.rerank(torch.randn(2, 32), clips()).square().sum().backward()
    else:
        made(clips()).square().sum().backward()
    assert [n for n, p in made.named_parameters() if p.grad.abs().sum() == 0] == []


@pytest.mark.parametrize("kind", ["seqTransf", "tightTransf"])
def test_blocks_start_from_the_text_tower_where_the_widths_agree(kind):
    clip = random_clip(Shape())
    made = network(clip, sim_header=kind)
    assert len(made.header.resblocks) == 2  # no more than the text tower has
    for number, block in enumerate(made.header.resblocks):
        theirs = clip.transformer.resblocks[number]
        assert torch.equal(block.mlp.c_fc.weight, theirs.mlp.c_fc.weight)
        assert torch.equal(block.attn.in_proj_weight, theirs.attn.in_proj_weight)
    before = clip.transformer.resblocks[0].mlp.c_fc.weight.clone()
    opened(made)
    assert torch.equal(clip.transformer.resblocks[0].mlp.c_fc.weight, before)


def test_blocks_start_anew_where_the_widths_differ():
    made = new_header("seqTransf", shape(width=64), CLIPS)
    text = {f"resblocks.{n}.ln_1.weight": torch.full((64,), 9.0) for n in range(4)}
    made.reset_parameters(torch.Generator().manual_seed(0), text)
    assert len(made.resblocks) == 4
    assert torch.equal(made.resblocks[0].ln_1.weight, torch.ones(32))
    assert 0.01 < made.resblocks[0].mlp.c_fc.weight.std() < 0.03


def test_an_embedding_narrower_than_a_head_has_one_head():
    clip = clip_shape(random_clip(Shape()))
    assert new_header("seqTransf", clip, 3).resblocks[0].attn.heads == 2
    wide = ClipShape(**{**vars(shape()), "text_heads": 1, "text_width": 48})
    assert new_header("seqTransf", wide, 3).resblocks[0].attn.heads == 1

import hashlib

import pytest
import torch
import torch.nn.functional as F

from pipeline_lib.errors import ConfigError
from pipeline_lib.networks.tempme_stop import TempMeStop, VideoVectors
from tests.support.retrieval_models import HEADERS, Shape, network, opened, random_clip, videos

SMALL = Shape()
# Fewer frames than the presets', so that tests take no time.
JOINED = {"merge_layer": (2, 3), "merge_frame_num": (2, 2), "clips": 3}
PARTS_OFF = {"spatial_prompt": False, "temporal_prompts": 0, "global_prompts": 0}


def difference(a: VideoVectors, b: VideoVectors) -> float:
    return max(float((x - y).abs().max()) for x, y in zip(a, b, strict=True))


def row(vectors: VideoVectors, number: int) -> VideoVectors:
    return VideoVectors(*(part[number : number + 1] for part in vectors))


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("shape", [Shape(7, 12, True), Shape(14, 12), SMALL])
@torch.no_grad()
def test_without_merging_it_starts_as_the_mean_of_clips_frames(shape, header):
    clip = random_clip(shape)
    made = network(clip, merging="none", clips=5, sim_header=header)
    pixels = videos(made, 2)
    vectors = made.forward_video(pixels)
    frames = F.normalize(clip.encode_image(pixels.flatten(0, 1)), dim=-1).unflatten(0, (2, 5))
    expected = VideoVectors(F.normalize(frames.mean(1), dim=-1), frames, frames)
    assert difference(vectors, expected) < 1e-5


@torch.no_grad()
def test_texts_start_as_clips_with_or_without_padding():
    clip = random_clip(SMALL)
    made = network(clip)
    tokens = torch.zeros(3, 77, dtype=torch.int64)
    for number, length in enumerate((3, 9, 5)):
        tokens[number, :length] = torch.randint(1, 400, (length,))
        tokens[number, length] = 49407
    expected = F.normalize(clip.encode_text(tokens), dim=-1)
    assert (made.encode_text(tokens) - expected).abs().max() < 1e-5
    assert (made.encode_text(tokens[:, :10]) - expected).abs().max() < 1e-5


@pytest.mark.parametrize(
    "off",
    [
        PARTS_OFF,
        {"temporal_prompts": 0},
        {"global_prompts": 0},
        {"spatial_prompt": False},
        {"temporal_prompts": 0, "global_prompts": 0},
    ],
)
@torch.no_grad()
def test_closed_gates_remove_the_prompts(off):
    clip = random_clip(SMALL)
    whole, part = network(clip, **JOINED), network(clip, **JOINED, **off)
    pixels = videos(whole, 2)
    assert difference(whole.forward_video(pixels), part.forward_video(pixels)) < 1e-6
    assert len(part.stop_parameters()) < len(whole.stop_parameters())
    # Open, each part counts.
    whole, part = opened(whole), opened(part)
    assert difference(whole.forward_video(pixels), part.forward_video(pixels)) > 1e-3


@pytest.mark.parametrize("off", [{}, PARTS_OFF])
@torch.no_grad()
def test_before_training_frames_are_those_of_tempme(off):
    made = network(random_clip(SMALL), **JOINED, **off)
    pixels = videos(made, 2)
    if off:
        opened(made)
    expected = F.normalize(made.clip.encode_video(pixels), dim=-1)
    assert (made.forward_video(pixels).frames - expected).abs().max() < 1e-6


@torch.no_grad()
def test_clips_are_means_of_their_own_frames_and_the_prompt_is_added_as_a_direction():
    made = opened(network(random_clip(SMALL), **JOINED))
    pixels = videos(made, 2)
    read = {}
    for gate in (0.0, 1.0, 1e6):
        made.video_gate.fill_(gate)
        read[gate] = made.forward_video(pixels)
    clips = read[0.0].frames.unflatten(1, (3, 4)).mean(2)
    assert (read[0.0].clips - clips).abs().max() < 1e-6
    mean = clips.mean(1)
    assert (read[0.0].video - F.normalize(mean, dim=-1)).abs().max() < 1e-6
    direction = read[1e6].video  # nothing else is left of it
    assert (read[1.0].video - F.normalize(mean + direction, dim=-1)).abs().max() < 1e-4


@torch.no_grad()
def test_the_factor_on_cosines_is_clips_and_at_most_100():
    made = network(random_clip(SMALL), **JOINED)
    made.clip.logit_scale.fill_(3.0)
    assert made.logit_scale.item() == pytest.approx(20.0855, rel=1e-5)
    made.clip.logit_scale.fill_(5.0)
    assert made.logit_scale.item() == 100


@pytest.mark.parametrize(("layers", "prompted"), [((2, 3), 2), ((0,), 5), ((), 2)])
def test_the_blocks_that_see_prompts(layers, prompted):
    options = {"merge_layer": layers, "merge_frame_num": (2,) * len(layers), "clips": 2}
    made = network(random_clip(SMALL), merging="none", **options)
    assert made.stage.gate.shape == (prompted, 3)


@pytest.mark.parametrize(
    "schedule",
    [
        {"merge_layer": (0,), "merge_frame_num": (3,), "tome_r": 0, "clips": 2},
        {"merge_layer": (1, 2, 3), "merge_frame_num": (2, 2, 3), "tome_r": 5, "clips": 1},
        {"merge_layer": (4,), "merge_frame_num": (5,), "tome_r": 9, "merge_across": 0.9},
        {"merge_layer": (1, 4), "merge_frame_num": (2, 1), "merge_across": 0.0, "clips": 2},
        {"merge_layer": (3,), "merge_frame_num": (2,), "merge_within": 0.9, "clips": 7},
        {"merge_layer": (2,), "merge_frame_num": (4,), "frame_pos": False, "clips": 3},
        {"merging": "none", "tome_r": 3, "clips": 6},
    ],
)
@torch.no_grad()
def test_any_schedule(schedule):
    made = opened(network(random_clip(SMALL), **schedule))
    pixels = videos(made, 2)
    vectors = made.forward_video(pixels)
    assert vectors.clips.shape == (2, made.clips, 32)
    assert vectors.frames.shape == (2, made.frames, 32)
    assert difference(row(vectors, 1), made.forward_video(pixels[1:])) < 1e-5


def test_switched_off_parts_have_no_parameters():
    made = network(random_clip(SMALL), **PARTS_OFF)
    assert made.stop_parameters() == {}
    assert all("TVPt" in name for name in made.tempme_parameters())
    assert network(random_clip(SMALL), **PARTS_OFF, lora_dim=0, merging="none").frames == 12


@torch.no_grad()
def test_the_preset_makes_12_clips_of_48_frames_and_sees_each_of_them():
    made = opened(network(random_clip(Shape(layers=12))))
    assert (made.frames, made.clips, made.dim) == (48, 12, 32)
    pixels = videos(made, 1)
    vectors = made.forward_video(pixels)
    assert [tuple(part.shape) for part in vectors] == [(1, 32), (1, 12, 32), (1, 48, 32)]
    assert torch.allclose(vectors.video.norm(dim=-1), torch.ones(1))
    changed = pixels.clone()
    changed[:, 13] = pixels[:, 40]  # sampling 12 of 48 would take 12 and 16
    assert difference(made.forward_video(changed), vectors) > 1e-3
    backwards = made.forward_video(pixels.flip(1))
    assert (backwards.video - vectors.video).abs().max() > 1e-3
    with pytest.raises(ValueError, match="47 frames of a video instead of 48"):
        made.forward_video(pixels[:, :47])


@pytest.mark.parametrize("options", [JOINED, {"merging": "none", "clips": 4}, {"clips": 1}])
@pytest.mark.parametrize("header", HEADERS)
@torch.no_grad()
def test_a_video_does_not_depend_on_the_others(options, header):
    made = opened(network(random_clip(SMALL), sim_header=header, **options))
    pixels = videos(made, 3)
    pixels[1] = pixels[1, :1]  # a still one
    together = made.forward_video(pixels)
    for number in range(3):
        alone = made.forward_video(pixels[number : number + 1])
        assert difference(row(together, number), alone) < 1e-5


@pytest.mark.parametrize(
    "options", [JOINED, {"merging": "none", "clips": 1}, {"merging": "none", "clips": 4}]
)
@pytest.mark.parametrize("level", [None, 0.0, 3.0])
def test_still_videos_and_single_frames_are_finite(options, level):
    made = opened(network(random_clip(SMALL), **options))
    pixels = videos(made, 2)[:, :1].expand(-1, made.frames, -1, -1, -1)
    if level is not None:
        pixels = torch.full_like(pixels, level)
    vectors = made.forward_video(pixels)
    assert all(part.isfinite().all() for part in vectors)
    vectors.video.sum().backward()
    learned = made.learned()
    assert all(p.grad.isfinite().all() for p in learned.values() if p.grad is not None)


def loss(made: TempMeStop, pixels: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    vectors, texts = made.forward_video(pixels), made.encode_text(tokens)
    logits = made.logit_scale * texts @ vectors.video.T
    total = F.cross_entropy(logits, torch.arange(len(texts)))
    if made.header.__class__.__name__ == "CrossHeader":
        scores = made.logit_scale * made.rerank(texts, vectors.clips)
        total = total + F.cross_entropy(scores, torch.arange(len(texts)))
    return total


def batch(made: TempMeStop) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(1, 400, (3, 6), generator=generator)
    tokens[:, 5] = 49407
    return videos(made, 3), tokens


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("mode", ["tempme_only", "stop_only", "joint"])
def test_every_trained_tensor_has_a_gradient_in_two_steps_and_no_other(mode, header):
    made = network(random_clip(SMALL), sim_header=header, **JOINED)
    parts = {"tempme_only": made.tempme_parameters(), "stop_only": made.stop_parameters()}
    learned = parts.get(mode) or parts["tempme_only"] | parts["stop_only"]
    for name, parameter in made.named_parameters():
        parameter.requires_grad_(name in learned)

    def digests() -> dict[str, str]:
        return {
            name: hashlib.sha256(value.numpy().tobytes()).hexdigest()
            for name, value in made.state_dict().items()
            if name not in learned
        }

    before = digests()
    optimizer = torch.optim.AdamW(learned.values(), lr=1e-3)
    moved: set[str] = set()
    for _ in range(2):
        optimizer.zero_grad()
        loss(made, *batch(made)).backward()
        moved |= {n for n, p in learned.items() if p.grad is not None and p.grad.abs().sum() > 0}
        optimizer.step()
    assert sorted(set(learned) - moved) == []
    assert all(p.grad is None for n, p in made.named_parameters() if n not in learned)
    assert digests() == before


def test_only_what_is_added_is_trained():
    made = network(random_clip(SMALL), sim_header="seqTransf")
    learned = made.learned()
    assert {n for n, p in made.named_parameters() if p.requires_grad} == set(learned)
    assert set(learned) <= set(made.state_dict())
    assert not set(made.tempme_parameters()) & set(made.stop_parameters())
    assert not made.logit_scale.requires_grad


def test_a_tiny_set_is_learned_by_heart():
    made = network(random_clip(SMALL), **JOINED)
    pixels, tokens = batch(made)
    learned = made.learned()
    optimizer = torch.optim.AdamW(learned.values(), lr=1e-2)
    for _ in range(15):
        optimizer.zero_grad()
        loss(made, pixels, tokens).backward()
        optimizer.step()
    scores = made.encode_text(tokens) @ made.forward_video(pixels).video.T
    assert scores.argmax(1).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "parts",
    [
        {"temporal_prompts": 0, "global_prompts": 0},
        {"spatial_prompt": False, "global_prompts": 0},
        {"merging": "unified", **PARTS_OFF, **JOINED},
    ],
)
def test_the_direction_of_a_motion_is_learned(parts):
    made = network(random_clip(SMALL), **{"merging": "none", "clips": 4, **parts})
    pixels, tokens = batch(made)
    pixels, tokens = torch.cat([pixels[:1], pixels[:1].flip(1)]), tokens[:2]
    with torch.no_grad():
        there, back = made.forward_video(pixels).video
    if made.frames == made.clips:
        assert (there - back).abs().max() < 1e-6  # CLIP alone cannot tell
    learned = made.learned()
    optimizer = torch.optim.AdamW(learned.values(), lr=1e-2)
    for _ in range(25):
        optimizer.zero_grad()
        loss(made, pixels, tokens).backward()
        optimizer.step()
    scores = made.encode_text(tokens) @ made.forward_video(pixels).video.T
    assert scores.argmax(1).tolist() == [0, 1]
    assert (scores.diagonal() - scores.flip(1).diagonal()).min() > 0.01


def test_recomputed_activations_give_the_same_gradients():
    grads = []
    for recompute in (False, True):
        made = opened(network(random_clip(SMALL), **JOINED))
        if recompute:
            made.set_grad_checkpointing()
        loss(made, *batch(made)).backward()
        learned = made.learned()
        grads.append({name: p.grad for name, p in learned.items()})
    for name, grad in grads[0].items():
        assert (grad - grads[1][name]).abs().max() <= 1e-6 * (1 + grad.abs().max()), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("header", HEADERS)
def test_half_precision_gives_about_the_same(header, dtype):
    made = opened(network(random_clip(SMALL), sim_header=header, **JOINED))
    pixels, tokens = batch(made)
    whole = made.forward_video(pixels)
    with torch.autocast("cpu", dtype):
        half = made.forward_video(pixels)
        total = loss(made, pixels, tokens)
    assert all(part.dtype == torch.float32 and part.isfinite().all() for part in half)
    assert (half.video * whole.video).sum(-1).min() > 0.98
    total.backward()
    learned = made.learned()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learned.values())


@torch.no_grad()
def test_new_adapters_depend_on_the_seed_and_their_own_part_alone():
    clip = random_clip(SMALL)
    first, other = network(clip, seed=1), network(clip, seed=2)
    fewer = network(clip, seed=1, global_prompts=0, sim_header="seqTransf")
    for made in (first, fewer):
        for parameter in made.learned().values():
            parameter.fill_(torch.nan)
        made.reset_parameters(1)
    own, again = first.state_dict(), fewer.state_dict()
    assert all(value.isfinite().all() for state in (own, again) for value in state.values())
    shared = [name for name in own if name in again and not name.startswith("stage")]
    assert all(torch.equal(own[name], again[name]) for name in shared)
    assert not torch.equal(own["spatial.down.weight"], other.state_dict()["spatial.down.weight"])


def test_prompts_need_a_block_behind_the_last_joining_one():
    clip = random_clip(SMALL)
    with pytest.raises(ConfigError, match=r"merge_layer = \[4, 5\] joins clips in the last block"):
        network(clip, merge_layer=(4, 5), merge_frame_num=(2, 2))
    made = network(clip, merge_layer=(4, 5), merge_frame_num=(2, 2), clips=1, **PARTS_OFF)
    pixels = videos(opened(made), 1)
    vectors = made.forward_video(pixels)
    assert vectors.clips.shape == (1, 1, 32)
    expected = F.normalize(made.clip.encode_video(pixels), dim=-1)
    assert (vectors.frames - expected).abs().max() < 1e-6


def test_one_clip_has_no_neighbours():
    made = network(random_clip(Shape(layers=12)), merging="paper-defaults")
    assert made.clips == 1
    assert not any("between" in name for name in made.stop_parameters())


def test_only_the_cross_encoder_re_ranks():
    made = network(random_clip(SMALL), **JOINED)
    with pytest.raises(ValueError, match="only the header tightTransf re-ranks"):
        made.rerank(torch.zeros(1, 32), torch.zeros(1, 3, 32))

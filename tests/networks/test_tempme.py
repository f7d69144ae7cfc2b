"""The whole of TempMe."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from pipeline_lib.networks.clip_shape import clip_shape, clip_tensors
from pipeline_lib.networks.merge_schedule import PRESETS, MergeSchedule, token_plan
from pipeline_lib.networks.tempme import TempMe
from pipeline_lib.runtime.torchvision_ops import import_open_clip
from tests.networks import tempme_reference
from tests.networks.small_clip import SMALL, pictures, published_shape, small_tempme

open_clip = import_open_clip()

JOINING = MergeSchedule(1, (1, 2), (2, 3), 0.3, 0.1)
NONE = PRESETS["none"].schedule


def test_published_names_and_numbers():
    with torch.device("meta"):
        network = TempMe(published_shape(), PRESETS["paper-defaults"].schedule, 12)
    names = network.state_dict()
    assert len(names) == 353
    assert sum("TVPt" not in name for name in names) == 302
    assert sum(value.numel() for value in network.added().values()) == 507_648
    positions = [
        names[f"visual.transformer.resblocks.{layer}.TVPt_Video_Positional_embedding"].shape
        for layer in (8, 9, 10)
    ]
    assert positions == [(1, clips, 1, 768) for clips in (12, 6, 3)]


def test_without_merging_and_joining_it_is_clip_with_mean_pooling():
    vision = {"image_size": 32, "layers": 3, "width": 32, "head_width": 16, "patch_size": 8}
    text = {"context_length": 16, "vocab_size": 60, "width": 24, "heads": 2, "layers": 2}
    clip = open_clip.CLIP(20, vision, text, quick_gelu=True).eval()
    network = TempMe(clip_shape(clip), NONE, 6)
    network.load_state_dict(clip_tensors(clip), strict=False)
    network.reset_added(torch.Generator().manual_seed(0))
    pixels = pictures(2, 6)
    with torch.no_grad():
        made = F.normalize(network.encode_video(pixels), dim=-1).mean(1)
        frames = clip.encode_image(pixels.flatten(0, 1), normalize=True)
    torch.testing.assert_close(made, frames.unflatten(0, (2, 6)).mean(1), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("schedule", "frames"),
    [
        (JOINING, 6),
        (JOINING, 12),
        (MergeSchedule(3, (0, 1), (2, 2), 0.5, 0.2), 4),
        (MergeSchedule(2, (3,), (3,), 0.1, 0.25, frame_pos=False), 3),
        (MergeSchedule(20, (2,), (2,), 0.9, 0.9), 2),
        (MergeSchedule(0, (1, 2), (2, 1), 0.0, 0.15), 4),
        (MergeSchedule(2, (), (), 0.3, 0.1), 2),
    ],
)
@pytest.mark.parametrize("grad", [False, True])
def test_any_schedule_equals_the_plain_reference(schedule, frames, grad):
    network, pixels = small_tempme(schedule, frames), pictures(2, frames)
    wanted = torch.stack([tempme_reference.encode(network, video) for video in pixels])
    with torch.set_grad_enabled(grad):
        made = network.encode_video(pixels)
    error = (made - wanted).abs().max() / wanted.abs().max()
    assert error <= 1e-5


def test_tokens_are_those_of_the_plan():
    network, seen = small_tempme(JOINING, 12), []
    clips = network.visual.embed(pictures(24))
    for layer in range(4):
        clips = network.visual.run(clips, layer, layer + 1)
        seen.append((layer, len(clips.tokens) // 2, clips.tokens.shape[1], clips.class_tokens))
        assert (clips.size.sum(1) == SMALL.tokens * clips.class_tokens).all()
    assert seen == [tuple(row) for row in token_plan(JOINING, 12, SMALL.tokens, 4)]


def test_the_last_block_computes_class_tokens_as_a_whole_block_does():
    network, pixels = small_tempme(JOINING, 12), pictures(2, 12)
    visual = network.visual
    clips = visual.run(visual.embed(pixels.flatten(0, 1)), 0, 4)
    whole = visual.project(clips.tokens[:, : clips.class_tokens]).reshape(2, 12, -1)
    torch.testing.assert_close(network.encode_video(pixels), whole, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("schedule", [NONE, JOINING, MergeSchedule(2, (0,), (4,), 0.2, 0.3)])
def test_a_video_does_not_depend_on_its_batch(schedule):
    network, pixels = small_tempme(schedule, 12), pictures(5, 12)
    pixels[1] = pixels[1, :1]  # a still video: many scores are equal
    pixels[2] = 0
    together = F.normalize(network.encode_video(pixels), dim=-1)
    assert together.isfinite().all()
    for row in range(5):
        alone = F.normalize(network.encode_video(pixels[row : row + 1]), dim=-1)
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-5)


def test_the_order_of_time_matters_and_is_kept():
    network, pixels = small_tempme(JOINING, 6), pictures(1, 6)
    forward = network.encode_video(pixels)[0]
    backward = network.encode_video(pixels.flip(1))[0].flip(0)
    assert not torch.allclose(forward, backward, atol=1e-3)
    # Nothing of one clip reaches another before they are joined.
    apart = small_tempme(replace(JOINING, layers=(3,), frame_nums=(2,)), 6)
    changed = pixels.clone()
    changed[0, 5] += 1
    moved = (apart.encode_video(changed) - apart.encode_video(pixels))[0].abs().amax(-1)
    assert (moved[:4] == 0).all()
    assert (moved[4:] > 1e-3).all()


def test_texts_end_where_their_end_is():
    network = small_tempme(NONE, 1)
    ids = torch.randint(1, 40, (3, 16))
    ids[0, 4], ids[1, 15], ids[2, 9] = 49, 49, 49
    padded = ids.clone()
    padded[0, 5:] = 0
    torch.testing.assert_close(
        network.encode_text(padded)[0], network.encode_text(ids)[0], rtol=1e-5, atol=1e-5
    )
    alone = network.encode_text(ids[:1, :5])
    torch.testing.assert_close(network.encode_text(ids)[:1], alone, rtol=1e-4, atol=1e-4)


def test_every_addition_gets_a_gradient_and_clip_none():
    network, pixels = small_tempme(JOINING, 6), pictures(2, 6)
    for parameter in network.added().values():
        parameter.requires_grad_(True)
    loss = network.encode_video(pixels).square().sum()
    loss = loss + network.encode_text(torch.randint(0, 50, (2, 16))).square().sum()
    loss.backward()
    for name, parameter in network.named_parameters():
        learned = parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
        assert learned == ("TVPt" in name), name


def test_the_additions_start_as_nothing():
    network = small_tempme(JOINING, 6)
    network.reset_added(torch.Generator().manual_seed(0))
    for name, parameter in network.added().items():
        assert bool(parameter.any()) == name.endswith("LoRA_a"), name


def test_no_frame_positions_where_none_are_learned():
    network = small_tempme(replace(JOINING, frame_pos=False), 6)
    assert not any("Positional" in name for name in network.state_dict())


def test_frames_that_cannot_be_joined():
    with pytest.raises(ValueError, match="8 frames"):
        TempMe(SMALL, JOINING, 8)

"""Presets, their checks, token counts and multiply-adds."""

import random

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pipeline_lib.config.retrieval import TempMeStopModelConfig
from pipeline_lib.errors import ConfigError
from pipeline_lib.networks.merge_macs import macs
from pipeline_lib.networks.merge_schedule import PRESETS, MergeSchedule, resolve, token_plan
from pipeline_lib.networks.tempme import TempMe
from tests.networks.small_clip import published_shape

PAPER, NONE = PRESETS["paper-defaults"].schedule, PRESETS["none"].schedule


@pytest.mark.parametrize(
    ("tokens", "first", "later"),
    [
        (50, range(48, 32, -2), [(6, 44, 2), (3, 56, 4), (1, 107, 12), (1, 97, 12)]),
        (197, range(195, 179, -2), [(6, 229, 2), (3, 289, 4), (1, 547, 12), (1, 493, 12)]),
    ],
)
def test_tokens_of_tempme_as_published(tokens, first, later):
    plan = token_plan(PAPER, 12, tokens, 12)
    assert [row[1:] for row in plan] == [*((12, count, 1) for count in first), *later]


def test_the_unified_plan_ends_in_clips_of_four_frames():
    rows = token_plan(PRESETS["unified"].schedule, 48, 50, 12)
    assert [tuple(row) for row in rows[3:7]] == [
        (3, 48, 42, 1), (4, 24, 54, 2), (5, 24, 49, 2), (6, 12, 63, 4),
    ]  # fmt: skip


def counted_by_hand(tokens, frames, joins, percents, tome_r):
    """Rows (clips, tokens, class tokens) of 12 blocks, from the patches that are left."""
    across, within = percents
    clips, classes, patches, rows = frames, 1, tokens - 1, []
    for layer in range(12):
        if layer in joins:
            clips, classes, patches = (
                clips // joins[layer], classes * joins[layer], patches * joins[layer],
            )  # fmt: skip
            patches -= min(int((classes + patches) * (across / 100)), patches // 2)
        if layer < min(joins):
            patches -= tome_r
        else:
            patches -= min(int((classes + patches) * (within / 100)), patches // 2)
        rows.append((clips, classes + patches, classes))
    return rows


@pytest.mark.parametrize("tokens", [50, 197])
def test_any_schedule_counts_as_by_hand(tokens):
    draw = random.Random(tokens)
    for _ in range(60):
        layers = tuple(sorted(draw.sample(range(12), draw.randint(1, 4))))
        nums = tuple(draw.choice([2, 3, 4]) for _ in layers)
        percents, tome_r = (draw.randint(0, 99), draw.randint(0, 99)), draw.randint(0, 2)
        schedule = MergeSchedule(tome_r, layers, nums, *(share / 100 for share in percents))
        frames = draw.randint(1, 4) * schedule.joined
        wanted = counted_by_hand(
            tokens, frames, dict(zip(layers, nums, strict=True)), percents, tome_r
        )
        assert [row[1:] for row in token_plan(schedule, frames, tokens, 12)] == wanted


def test_shares_are_cut_off_as_floats_are():
    # 90 * 0.7 is a little less than 63.
    assert MergeSchedule(0, (0,), (1,), 0.0, 0.7).step(0, 90, 1).within == 44
    assert MergeSchedule(0, (0,), (2,), 0.7, 0.0).step(0, 45, 1).across == 44
    assert MergeSchedule(0, (0,), (2,), 0.29, 0.0).step(0, 50, 1).across == 28  # not 29


def test_a_listed_block_that_joins_nothing_merges_within_only():
    schedule = MergeSchedule(2, (1, 2), (1, 2), 0.30, 0.10)
    assert schedule.step(0, 50, 1) == (1, 0, 2)
    assert schedule.step(1, 48, 1) == (1, 0, 4)


def test_frames_and_patches_add_up_whatever_the_schedule():
    draw = random.Random(0)
    for _ in range(200):
        layers = tuple(sorted(draw.sample(range(12), draw.randint(0, 3))))
        nums = tuple(draw.choice([1, 2, 3]) for _ in layers)
        schedule = MergeSchedule(draw.randint(0, 40), layers, nums, draw.random(), draw.random())
        frames = 12 * schedule.joined
        rows = token_plan(schedule, frames, 50, 12)
        assert rows[-1].clips == 12
        for row in rows:
            assert row.clips * row.class_tokens == frames
            assert 0 < row.tokens - row.class_tokens <= 49 * row.class_tokens


def test_published_multiply_adds():
    shape = published_shape()
    assert macs(shape, PAPER, 12, lora_dim=8).total == pytest.approx(34.84e9, rel=2e-4)
    plain = macs(shape, PRESETS["none"].schedule, 12)
    assert macs(shape, NONE, 12, lora_dim=8).total == pytest.approx(53.08e9, rel=2e-4)
    assert plain.total - plain.attention == pytest.approx(52.35e9, rel=2e-4)
    assert macs(published_shape(patch=16), PAPER, 12, lora_dim=8).total == pytest.approx(
        162.1e9, rel=2e-4
    )


@pytest.mark.parametrize("class_only", [True, False])
@pytest.mark.parametrize("lora_dim", [0, 8])
@pytest.mark.parametrize(
    ("schedule", "frames", "patch"),
    [(PAPER, 12, 32), (PAPER, 12, 16), (NONE, 12, 32), (PRESETS["unified"].schedule, 48, 32)],
)
def test_multiply_adds_are_those_that_the_network_does(
    schedule, frames, patch, lora_dim, class_only
):
    shape = published_shape(patch)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        tower = TempMe(shape, schedule, frames, lora_dim).visual
        pixels = torch.empty(frames, 3, 224, 224)
        if class_only:
            tower.encode(pixels)
        else:
            clips = tower.run(tower.embed(pixels), 0, 12)
            tower.project(clips.tokens[:, : clips.class_tokens])
    found = macs(shape, schedule, frames, lora_dim=lora_dim, class_only=class_only)
    assert 2 * found.total == counter.get_total_flops()


def test_fast_spares_more_than_half():
    preset, shape = PRESETS["fast"], published_shape()
    frames = preset.clips * preset.schedule.joined
    plain = macs(shape, PRESETS["none"].schedule, frames).total
    assert macs(shape, preset.schedule, frames).total <= 0.49 * plain


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_resolves_to_itself(name):
    config = TempMeStopModelConfig(merging=name)
    assert resolve(config, 12) == (PRESETS[name].schedule, PRESETS[name].clips)


def test_frames_of_the_presets():
    frames = {name: preset.clips * preset.schedule.joined for name, preset in PRESETS.items()}
    assert frames == {"unified": 48, "paper-defaults": 12, "fast": 48, "none": 12}


def test_given_fields_win():
    config = TempMeStopModelConfig(
        merging="none", clips=3, merge_layer=(2,), merge_frame_num=(4,), merge_across=0.5,
        merge_within=0.2, tome_r=1, frame_pos=False,
    )  # fmt: skip
    assert resolve(config, 12) == (MergeSchedule(1, (2,), (4,), 0.5, 0.2, False), 3)


def test_layers_keep_their_share_of_another_depth():
    assert resolve(TempMeStopModelConfig(merging="unified"), 6)[0].layers == (2, 3)
    assert resolve(TempMeStopModelConfig(merging="unified"), 24)[0].layers == (8, 12)


@pytest.mark.parametrize(
    ("given", "depth", "message"),
    [
        ({"merging": "unifed"}, 12, "merging = 'unifed'.*\n.*Did you mean 'unified'"),
        ({"merging": "unified"}, 3, "merging = 'unified' does not fit an image tower of 3 blocks"),
        ({"merge_layer": (4, 12)}, 12, r"merge_layer = \[4, 12\] goes beyond.*\n.*last one is 11"),
        ({"merge_layer": (6, 4)}, 12, r"merge_layer = \[6, 4\] does not ascend.*\n.*\[4, 6\]"),
        ({"merge_layer": (4, 4)}, 12, "does not ascend"),
        ({"merge_layer": (4,)}, 12, r"merge_frame_num = \[2, 2\] has not one number"),
    ],
)
def test_what_cannot_be_says_what_can(given, depth, message):
    with pytest.raises(ConfigError, match=message):
        resolve(TempMeStopModelConfig(**given), depth)

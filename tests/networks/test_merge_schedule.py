"""Presets, their checks, token counts and multiply-adds."""

import random

import pytest

from pipeline_lib.config.retrieval import TempMeStopModelConfig
from pipeline_lib.errors import ConfigError
from pipeline_lib.networks.merge_macs import macs
from pipeline_lib.networks.merge_schedule import PRESETS, MergeSchedule, resolve, token_plan
from tests.networks.small_clip import published_shape

PAPER = PRESETS["paper-defaults"].schedule


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
    assert plain.total - plain.attention == pytest.approx(52.35e9, rel=2e-4)
    assert macs(published_shape(patch=16), PAPER, 12, lora_dim=8).total == pytest.approx(
        162.1e9, rel=2e-4
    )


def test_class_tokens_alone_cost_less():
    shape = published_shape()
    whole, short = (macs(shape, PAPER, 12, class_only=only) for only in (False, True))
    assert short.linear < whole.linear
    assert short.attention < whole.attention


def test_fast_spares_more_than_half():
    preset, shape = PRESETS["fast"], published_shape()
    frames = preset.clips * preset.schedule.joined
    plain = macs(shape, PRESETS["none"].schedule, frames).total
    assert macs(shape, preset.schedule, frames).total <= 0.49 * plain


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_resolves_to_itself(name):
    config = TempMeStopModelConfig(merging=name)
    assert resolve(config, 12) == (PRESETS[name].schedule, PRESETS[name].clips)


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

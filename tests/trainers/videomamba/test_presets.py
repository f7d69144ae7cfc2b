from dataclasses import fields, replace

import pytest

from pipeline_lib.config import (
    AugmentConfig,
    VideoListConfig,
    VideoMambaConfig,
    VideoMambaModelConfig,
)
from pipeline_lib.errors import ConfigError
from pipeline_lib.networks.videomamba import resolve_shape
from pipeline_lib.trainers.videomamba.presets import PRESETS, resolve

STRONG, LIGHT = "rand-m7-n4-mstd0.5-inc1", "rand-m5-n2-mstd0.25-inc1"


def settings(preset="kinetics", size="tiny", frames=8, **changes):
    # One augmentation of 256 clips, so that rates are those of the tables.
    changes = {"batch_size": 256, "augment": AugmentConfig(repeats=1), **changes}
    model = VideoMambaModelConfig(size=size, frames=frames)
    config = VideoMambaConfig(preset=preset, model=model, **changes)
    return resolve(config, resolve_shape(model))


@pytest.mark.parametrize(
    ("preset", "size", "epochs", "lr", "drop_path", "weight_decay", "layer_decay", "test"),
    [
        ("kinetics", "tiny", 70, 2e-4, 0.1, 0.1, 0.75, (4, 3)),
        ("kinetics", "small", 50, 2e-4, 0.35, 0.05, 0.75, (4, 3)),
        ("kinetics", "middle", 50, 2e-4, 0.8, 0.05, 0.75, (4, 3)),
        ("kinetics-masked", "middle", 45, 1e-4, 0.4, 0.05, 0.8, (4, 3)),
        ("ssv2", "tiny", 35, 4e-4, 0.1, 0.1, 0.75, (2, 3)),
        ("ssv2", "small", 30, 4e-4, 0.35, 0.05, 0.75, (2, 3)),
        ("ssv2", "middle", 30, 4e-4, 0.8, 0.05, 0.75, (2, 3)),
        ("ssv2-masked", "middle", 30, 1e-4, 0.4, 0.05, 0.8, (2, 3)),
        ("breakfast", "tiny", 70, 2e-4, 0.1, 0.1, 0.75, (4, 3)),
        ("breakfast", "small", 50, 2e-4, 0.4, 0.05, 0.75, (4, 3)),
        ("breakfast", "middle", 50, 2e-4, 0.8, 0.05, 0.8, (4, 3)),
        ("breakfast-masked", "middle", 45, 2e-4, 0.4, 0.05, 0.8, (4, 3)),
        ("coin", "tiny", 40, 2e-4, 0.1, 0.1, 0.75, (10, 3)),
        ("coin", "small", 35, 2e-4, 0.4, 0.05, 0.75, (10, 3)),
        ("coin", "middle", 30, 2e-4, 0.8, 0.05, 0.8, (10, 3)),
        ("coin-masked", "middle", 30, 2e-4, 0.4, 0.05, 0.8, (10, 3)),
        ("lvu", "tiny", 70, 4e-4, 0.15, 0.1, 0.75, (4, 3)),
    ],
)
def test_a_preset_is_what_was_published(
    preset, size, epochs, lr, drop_path, weight_decay, layer_decay, test
):
    made = settings(preset, size)
    assert made.epochs == epochs
    assert made.lr == pytest.approx(lr)
    assert (made.drop_path, made.weight_decay) == (drop_path, weight_decay)
    assert (made.layer_decay, (made.segments, made.crops)) == (layer_decay, test)
    assert (made.min_lr, made.warmup_lr) == pytest.approx((1e-6, 1e-6))
    assert made.warmup_epochs == 5
    assert made.augment.rand_augment == (LIGHT if size == "tiny" else STRONG)
    ssv2 = preset.startswith("ssv2")
    assert made.dataset.sampling == ("segments" if ssv2 else "sparse")
    assert made.augment.flip == (0.0 if ssv2 else 0.5)


def test_every_preset_is_tested_above():
    assert sum(len(preset.recipes) for preset in PRESETS.values()) == 17


def test_what_all_presets_do_to_a_clip():
    augment = settings(augment=AugmentConfig()).augment
    assert augment.scale == (0.08, 1.0)
    assert augment.ratio == pytest.approx((3 / 4, 4 / 3))
    assert (augment.erase, augment.mixup, augment.cutmix) == (0.25, 0.8, 1.0)
    assert (augment.mix_probability, augment.switch_probability) == (1.0, 0.5)
    assert (augment.smoothing, augment.repeats) == (0.1, 2)


def test_the_middle_one_learns_more_slowly_from_16_frames_on():
    assert settings(size="middle", frames=8).lr == pytest.approx(2e-4)
    assert settings(size="middle", frames=16).lr == pytest.approx(1e-4)
    assert settings(size="small", frames=64).lr == pytest.approx(2e-4)


@pytest.mark.parametrize(
    ("preset", "size", "like"),
    [("kinetics", "base", "middle"), ("lvu", "base", "tiny"), ("coin-masked", "tiny", "middle")],
)
def test_a_size_without_a_recipe_takes_the_nearest(preset, size, like):
    assert settings(preset, size) == settings(preset, like)


def test_rates_grow_with_what_a_step_sees():
    made = settings(batch_size=64, accumulate=2, augment=AugmentConfig(repeats=2), lr=1e-3)
    assert made.lr == pytest.approx(1e-3)
    made = settings(batch_size=16, augment=AugmentConfig())
    assert (made.lr, made.min_lr, made.warmup_lr) == pytest.approx((2e-4 / 8, 1e-6 / 8, 1e-6 / 8))


def test_given_values_are_taken_even_where_they_are_nothing():
    nothing = {"warmup_epochs": 0, "min_lr": 0.0, "weight_decay": 0.0, "drop_path": 0.0}
    made = settings(**nothing, epochs=3, layer_decay=1.0, warmup_lr=1e-5)
    assert {name: getattr(made, name) for name in nothing} == nothing
    assert (made.epochs, made.layer_decay, made.warmup_lr) == (3, 1.0, 1e-5)
    off = {"flip": 0.0, "erase": 0.0, "mixup": 0.0, "cutmix": 0.0, "smoothing": 0.0}
    chosen = AugmentConfig(**off, rand_augment="none", repeats=1, scale=(0.5, 1.0))
    augment = settings(augment=chosen).augment
    for field in fields(chosen):
        given = getattr(chosen, field.name)
        if given is not None:
            assert getattr(augment, field.name) == given
    dataset = VideoListConfig(sampling="dense", rate=2)
    assert settings("ssv2", dataset=dataset).dataset == dataset
    assert settings("ssv2", dataset=replace(dataset, sampling=None)).dataset.rate == 2


def test_values_are_neither_mixed_nor_smoothed():
    augment = settings("lvu", task="regression").augment
    assert (augment.mixup, augment.cutmix, augment.smoothing) == (0, 0, 0)
    assert augment.erase == 0.25
    for name in ("mixup", "cutmix", "smoothing"):
        with pytest.raises(ConfigError, match=rf"augment\.{name} = 0\.5(.|\n)*{name}: 0"):
            settings(task="regression", augment=AugmentConfig(**{name: 0.5}))
    settings(task="regression", augment=AugmentConfig(mixup=0.0))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"preset": "kinetic"}, r"preset = 'kinetic'(.|\n)*'kinetics'"),
        ({"lr": 1e-7}, r"min_lr is 10 times the largest rate"),
        ({"warmup_lr": 1.0}, r"warmup_lr is 5000 times"),
        ({"augment": AugmentConfig(scale=(1.0, 0.5))}, r"scale = \[1, 0\.5\]"),
        ({"augment": AugmentConfig(ratio=(2.0, 0.5))}, r"ratio = \[2, 0\.5\]"),
        ({"augment": AugmentConfig(scale=(0.5, 3.0))}, r"scale ends at 3: no crop is larger"),
        ({"augment": AugmentConfig(rand_augment="rand-m99")}, r"videomamba\.augment\.rand_augment"),
    ],
)
def test_settings_that_cannot_be(changes, said):
    with pytest.raises(ConfigError, match=said):
        settings(**changes)

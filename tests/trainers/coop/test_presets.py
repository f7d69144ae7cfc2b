import re
from dataclasses import asdict
from pathlib import Path

import pytest

from pipeline_lib.config import TrainConfig
from pipeline_lib.errors import ConfigError
from pipeline_lib.trainers.coop.presets import PRESETS, fitting_batch, recipe


def test_the_original_recipe():
    made = recipe(TrainConfig(), 1000)
    assert (made.optimizer, made.lr, made.momentum, made.weight_decay) == ("sgd", 0.002, 0.9, 5e-4)
    assert (made.epochs, made.batch_size, made.accumulate) == (50, 32, 1)
    assert (made.drop_last, made.patience, made.precision) == (True, 0, "fp32")
    assert (made.schedule, made.warmup_epochs, made.warmup_lr) == ("epoch", 1, 1e-5)


def test_what_the_parameters_give_wins_even_if_it_is_false_or_zero():
    config = TrainConfig(
        preset="fast", lr=0.5, patience=0, drop_last=True, momentum=0.0, accumulate=3
    )
    made = recipe(config, 1000)
    assert (made.lr, made.patience, made.drop_last, made.momentum) == (0.5, 0, True, 0.0)
    assert made.accumulate == 3
    assert made.epochs == PRESETS["fast"].epochs
    assert recipe(TrainConfig(preset="fast", batch_size=7), 10**6).batch_size == 7


@pytest.mark.parametrize(
    "windows", [1, 63, 64, 738, 1000, 5000, 16384, 65535, 65536, 400_000, 2_000_000]
)
def test_fast_takes_a_few_large_steps(windows):
    size = fitting_batch(windows)
    assert size & (size - 1) == 0
    assert 64 <= size <= 4096
    steps = recipe(TrainConfig(preset="fast"), windows).steps(windows)
    if 1536 <= windows <= 196_608:
        assert 24 <= steps <= 49


@pytest.mark.parametrize(
    ("windows", "batch", "accumulate", "drop_last", "used", "steps"),
    [
        (100, 32, 1, True, 96, 3),
        (100, 32, 1, False, 100, 4),
        (31, 32, 1, True, 31, 1),
        (100, 32, 2, False, 100, 2),
        (100, 32, 2, True, 96, 2),
        (128, 32, 4, True, 128, 1),
        (100, 32, 8, False, 100, 1),
    ],
)
def test_steps_of_an_epoch(windows, batch, accumulate, drop_last, used, steps):
    config = TrainConfig(batch_size=batch, accumulate=accumulate, drop_last=drop_last)
    made = recipe(config, windows)
    assert (made.used(windows), made.steps(windows)) == (used, steps)


def test_a_warm_up_above_the_rate_it_leads_to():
    with pytest.raises(ConfigError, match=r"warmup_lr = 0\.5 is above train\.lr = 0\.002"):
        recipe(TrainConfig(warmup_lr=0.5), 10)
    assert recipe(TrainConfig(warmup_lr=0.5, warmup_epochs=0), 10).warmup_epochs == 0


def test_the_documentation_says_what_the_presets_are():
    page = (Path(__file__).parents[3] / "docs" / "coop.md").read_text(encoding="utf-8")
    cells = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", page, re.MULTILINE))
    for name, value in asdict(PRESETS["original"]).items():
        if name != "accumulate":
            said = f"{value:g}" if isinstance(value, float) else str(value).lower()
            assert cells[name] == said, name

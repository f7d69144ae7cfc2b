"""How prompts are trained: two named recipes, and what a parameter file changes of them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from pipeline_lib.config import TrainConfig
from pipeline_lib.errors import ConfigError

# A few large steps: the text tower costs the same for every batch, so its runs are what counts.
FEWEST_STEPS = 24
SMALLEST_BATCH, LARGEST_BATCH = 64, 4096


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides how a context is optimised.

    Attributes:
        optimizer: ``sgd`` or ``adamw``.
        lr: The largest rate.
        momentum: Of SGD, without dampening or Nesterov.
        weight_decay: L2 in SGD, decoupled in AdamW.
        epochs: Most epochs.
        batch_size: Windows in one batch.
        accumulate: Batches in one optimizer step.
        drop_last: Leave out a last batch that is not full, unless it is the only one.
        schedule: See :mod:`pipeline_lib.trainers.schedules`.
        warmup_epochs: Length of the warm-up.
        warmup_lr: Rate (``epoch``) or first rate (``step``) of the warm-up.
        patience: Epochs without improvement before stopping; 0 never stops.
        precision: Of the text tower: ``fp32``, ``bf16``, or ``auto``.
    """

    optimizer: Literal["sgd", "adamw"]
    lr: float
    momentum: float
    weight_decay: float
    epochs: int
    batch_size: int
    accumulate: int
    drop_last: bool
    schedule: Literal["epoch", "step"]
    warmup_epochs: int
    warmup_lr: float
    patience: int
    precision: Literal["auto", "fp32", "bf16"]

    def steps(self, windows: int) -> int:
        """Optimizer steps, and so runs of the text tower, in an epoch over ``windows``."""
        batches = -(-self.used(windows) // self.batch_size)
        return -(-batches // self.accumulate)

    def used(self, windows: int) -> int:
        """How many of ``windows`` an epoch trains on."""
        whole = windows - windows % self.batch_size
        return whole if self.drop_last and whole else windows


# `original`: Zhou et al., IJCV 2022, as github.com/KaiyangZhou/Dassl.pytorch runs it.
PRESETS: Mapping[str, Recipe] = {
    "original": Recipe(
        optimizer="sgd",
        lr=0.002,
        momentum=0.9,
        weight_decay=5e-4,
        epochs=50,
        batch_size=32,
        accumulate=1,
        drop_last=True,
        schedule="epoch",
        warmup_epochs=1,
        warmup_lr=1e-5,
        patience=0,
        precision="fp32",
    ),
    "fast": Recipe(
        optimizer="adamw",
        lr=0.01,
        momentum=0.9,
        weight_decay=0.0,
        epochs=50,
        batch_size=LARGEST_BATCH,
        accumulate=1,
        drop_last=False,
        schedule="step",
        warmup_epochs=1,
        warmup_lr=1e-5,
        patience=10,
        precision="auto",
    ),
}


def recipe(config: TrainConfig, windows: int) -> Recipe:
    """The preset of ``config`` with every value that ``config`` gives itself.

    Args:
        config: The ``train`` section.
        windows: Training windows; ``fast`` fits the batch to them.

    Raises:
        ConfigError: The warm-up would start above the rate that it leads to.
    """
    chosen = PRESETS[config.preset]
    if config.preset == "fast":
        chosen = replace(chosen, batch_size=fitting_batch(windows))
    given: dict[str, Any] = {
        field.name: getattr(config, field.name)
        for field in fields(Recipe)
        if getattr(config, field.name) is not None
    }
    chosen = replace(chosen, **given)
    if chosen.warmup_epochs and chosen.warmup_lr > chosen.lr:
        raise ConfigError(
            f"train.warmup_lr = {chosen.warmup_lr:g} is above train.lr = {chosen.lr:g}.",
            hint="Lower train.warmup_lr, or set train.warmup_epochs: 0.",
        )
    return chosen


def fitting_batch(windows: int) -> int:
    """The largest power of two that still makes ``FEWEST_STEPS`` batches of ``windows``."""
    size = SMALLEST_BATCH
    while size < LARGEST_BATCH and windows >= 2 * size * FEWEST_STEPS:
        size *= 2
    return size

"""How the published models were fine-tuned, and what a parameter file changes of it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from pipeline_lib.config import AugmentConfig, VideoListConfig, VideoMambaConfig
from pipeline_lib.datasets.video_clips.augment import ResolvedAugment
from pipeline_lib.datasets.video_clips.rand_augment import parse_rand_augment
from pipeline_lib.errors import ConfigError, did_you_mean
from pipeline_lib.networks.videomamba import VideoMambaShape

T = TypeVar("T")

logger = logging.getLogger(__name__)

# The batch that published rates are for.
_BATCH = 256
_MIN_LR, _WARMUP_LR, _WARMUP_EPOCHS = 1e-6, 1e-6, 5
# From so many frames on, some rows have another rate.
_LONG = 16
_SIZES = ("tiny", "small", "middle", "base")
_STRONG, _LIGHT = "rand-m7-n4-mstd0.5-inc1", "rand-m5-n2-mstd0.25-inc1"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one size was trained.

    Attributes:
        epochs: Of the training.
        lr: For a batch of 256.
        long_lr: That of clips of 16 frames and more, where it is another.
        drop_path: Chance that a sample skips the last block.
        weight_decay: Of AdamW.
        layer_decay: Each layer's rate is that of the next one times this.
        rand_augment: timm's notation.
    """

    epochs: int
    lr: float
    long_lr: float | None = None
    drop_path: float
    weight_decay: float = 0.05
    layer_decay: float = 0.75
    rand_augment: str = _STRONG


@dataclass(frozen=True, kw_only=True)
class Preset:
    """How the models of one data set were trained and tested.

    Attributes:
        recipes: By size.
        sampling: Of the frames.
        segments: Clips of a video in the test.
        crops: Of each clip.
        flip: Chance that a clip is mirrored.
    """

    recipes: Mapping[str, Recipe]
    sampling: Literal["sparse", "dense", "segments"] = "sparse"
    segments: int = 4
    crops: int = 3
    flip: float = 0.5

    def recipe(self, size: str) -> Recipe:
        """The recipe of ``size``, or of the nearest published one, the smaller of two."""
        wanted = _SIZES.index(size)
        nearest = min(self.recipes, key=lambda known: abs(_SIZES.index(known) - wanted))
        return self.recipes[nearest]


def _tiny(epochs: int, lr: float, drop_path: float = 0.1) -> Recipe:
    return Recipe(epochs=epochs, lr=lr, drop_path=drop_path, weight_decay=0.1, rand_augment=_LIGHT)


def _long_videos(tiny: int, small: int, middle: int) -> dict[str, Recipe]:
    return {
        "tiny": _tiny(tiny, 2e-4),
        "small": Recipe(epochs=small, lr=2e-4, drop_path=0.4),
        "middle": Recipe(epochs=middle, lr=2e-4, drop_path=0.8, layer_decay=0.8),
    }


def _masked(epochs: int, lr: float) -> dict[str, Recipe]:
    return {"middle": Recipe(epochs=epochs, lr=lr, drop_path=0.4, layer_decay=0.8)}


# github.com/OpenGVLab/VideoMamba, the scripts below videomamba/video_sm/exp. A layer decay that a
# script does not name is its program's 0.75.
PRESETS: Mapping[str, Preset] = {
    "kinetics": Preset(
        recipes={
            "tiny": _tiny(70, 2e-4),
            "small": Recipe(epochs=50, lr=2e-4, drop_path=0.35),
            "middle": Recipe(epochs=50, lr=2e-4, long_lr=1e-4, drop_path=0.8),
        },
    ),
    "kinetics-masked": Preset(recipes=_masked(45, 1e-4)),
    "ssv2": Preset(
        recipes={
            "tiny": _tiny(35, 4e-4),
            "small": Recipe(epochs=30, lr=4e-4, drop_path=0.35),
            "middle": Recipe(epochs=30, lr=4e-4, drop_path=0.8),
        },
        sampling="segments",
        segments=2,
        flip=0.0,
    ),
    "ssv2-masked": Preset(recipes=_masked(30, 1e-4), sampling="segments", segments=2, flip=0.0),
    "breakfast": Preset(recipes=_long_videos(70, 50, 50)),
    "breakfast-masked": Preset(recipes=_masked(45, 2e-4)),
    "coin": Preset(recipes=_long_videos(40, 35, 30), segments=10),
    "coin-masked": Preset(recipes=_masked(30, 2e-4), segments=10),
    "lvu": Preset(recipes={"tiny": _tiny(70, 4e-4, drop_path=0.15)}),
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that a preset decides, with what the parameter file says instead.

    Attributes:
        lr: The largest rate of a step, for the batch of this training.
        min_lr: Where its cosine ends.
        warmup_lr: Where its warm-up starts.
        warmup_epochs: Length of the warm-up.
        epochs: Most epochs.
        weight_decay: Of AdamW.
        layer_decay: Each layer's rate is that of the next one times this.
        drop_path: Chance that a sample skips the last block.
        augment: What training does to a clip.
        dataset: The section ``dataset`` with its sampling.
        segments: Clips of a video in the test, where ``evaluate.videomamba`` names none.
        crops: Of each clip, likewise.
    """

    lr: float
    min_lr: float
    warmup_lr: float
    warmup_epochs: int
    epochs: int
    weight_decay: float
    layer_decay: float
    drop_path: float
    augment: ResolvedAugment
    dataset: VideoListConfig
    segments: int
    crops: int


def resolve(config: VideoMambaConfig, shape: VideoMambaShape) -> Settings:
    """The preset of ``config`` with every value that ``config`` gives itself.

    Args:
        config: The section ``train.videomamba``.
        shape: Of the network.

    Raises:
        ConfigError: Unknown preset, rates out of order, or clips are to be mixed whose values
            are learned.
    """
    if config.preset not in PRESETS:
        raise ConfigError(
            f"train.videomamba.preset = {config.preset!r}: there is no such preset.",
            hint=did_you_mean(config.preset, PRESETS),
        )
    preset = PRESETS[config.preset]
    recipe = preset.recipe(config.model.size)
    if config.model.size not in preset.recipes:
        logger.info(
            "train.videomamba.preset = %r was not published for size %r; that of the nearest size "
            "is taken",
            config.preset,
            config.model.size,
        )
    long = recipe.long_lr if shape.frames >= _LONG else None
    augment = _augment(config, preset, recipe)
    scale = config.batch_size * config.accumulate * augment.repeats / _BATCH
    settings = Settings(
        lr=_given(config.lr, long or recipe.lr) * scale,
        min_lr=_given(config.min_lr, _MIN_LR) * scale,
        warmup_lr=_given(config.warmup_lr, _WARMUP_LR) * scale,
        warmup_epochs=_given(config.warmup_epochs, _WARMUP_EPOCHS),
        epochs=_given(config.epochs, recipe.epochs),
        weight_decay=_given(config.weight_decay, recipe.weight_decay),
        layer_decay=_given(config.layer_decay, recipe.layer_decay),
        drop_path=_given(config.drop_path, recipe.drop_path),
        augment=augment,
        dataset=replace(config.dataset, sampling=_given(config.dataset.sampling, preset.sampling)),
        segments=preset.segments,
        crops=preset.crops,
    )
    _check(settings)
    return settings


def _augment(config: VideoMambaConfig, preset: Preset, recipe: Recipe) -> ResolvedAugment:
    regression = config.task == "regression"
    if regression:
        _refuse_mixing(config.augment)
    published: dict[str, Any] = {
        "rand_augment": recipe.rand_augment,
        "scale": (0.08, 1.0),
        "ratio": (3 / 4, 4 / 3),
        "flip": preset.flip,
        "erase": 0.25,
        "mixup": 0.0 if regression else 0.8,
        "cutmix": 0.0 if regression else 1.0,
        "mix_probability": 1.0,
        "switch_probability": 0.5,
        "smoothing": 0.0 if regression else 0.1,
        "repeats": 2,
    }
    return ResolvedAugment(
        **{name: _given(getattr(config.augment, name), value) for name, value in published.items()}
    )


def _refuse_mixing(augment: AugmentConfig) -> None:
    for name in ("mixup", "cutmix", "smoothing"):
        if getattr(augment, name):
            raise ConfigError(
                f"train.videomamba.augment.{name} = {getattr(augment, name):g} mixes classes, and "
                "train.videomamba.task: regression learns values.",
                hint=f"Set train.videomamba.augment.{name}: 0, or leave it null.",
            )


def _check(settings: Settings) -> None:
    for name in ("min_lr", "warmup_lr"):
        if getattr(settings, name) > settings.lr:
            told = getattr(settings, name) / settings.lr
            raise ConfigError(
                f"train.videomamba.{name} is {told:g} times the largest rate.",
                hint=f"Lower train.videomamba.{name}, or raise train.videomamba.lr.",
            )
    for name in ("scale", "ratio"):
        low, high = getattr(settings.augment, name)
        if low > high:
            raise ConfigError(
                f"train.videomamba.augment.{name} = [{low:g}, {high:g}] starts above its end.",
                hint="Give the smaller number first.",
            )
    if settings.augment.scale[1] > 1:
        raise ConfigError(
            f"train.videomamba.augment.scale ends at {settings.augment.scale[1]:g}: no crop is "
            "larger than its frame.",
            hint="Its numbers are shares of a frame's area, up to 1.",
        )
    parse_rand_augment(settings.augment.rand_augment)


def _given(value: T | None, otherwise: T) -> T:
    return otherwise if value is None else value

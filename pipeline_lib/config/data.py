"""The sections ``data``, ``demo_data`` and ``demo_clip``."""

from dataclasses import field
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from pipeline_lib.config.sections import STRICT, Count, Natural, NonNegative, Positive


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DataConfig:
    """Where the videos and annotations are.

    Attributes:
        root: Folder with ``videos/`` and ``annotations/``.
        exclude: Videos known to be unusable, relative to ``<root>/videos``.
        questions: The question file, relative to ``root``.
    """

    root: str
    exclude: tuple[str, ...] = ()
    questions: str = "qa.json"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class VideosPerClass:
    """How many demo videos a class gets in each split."""

    train: Count = 8
    val: Count = 3
    test: Count = 5


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DemoDataConfig:
    """The rendered demo data set."""

    seed: Natural = 7
    videos_per_class: VideosPerClass = field(default_factory=VideosPerClass)
    seconds: Annotated[float, Field(ge=6, allow_inf_nan=False)] = 20.0
    width: Annotated[int, Field(ge=32, multiple_of=2)] = 160
    height: Annotated[int, Field(ge=32, multiple_of=2)] = 120


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DemoClipConfig:
    """Training of the demo CLIP from scratch on rendered stills.

    Attributes:
        backgrounds: Stills without an object in every batch, beside one of each colour and shape.
        held_out: Stills that are drawn for its metrics, from another random stream.
    """

    seed: Natural = 7
    steps: Count = 900
    backgrounds: Natural = 12
    lr: Positive = 2e-3
    weight_decay: NonNegative = 0.1
    warmup_steps: Natural = 100
    held_out: Count = 1440

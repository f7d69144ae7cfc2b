"""The sections ``data``, ``demo_data``, ``demo_clip`` and ``demo_clip_vit``."""

from dataclasses import field
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from pipeline_lib.config.sections import STRICT, Count, Natural, NonNegative, Positive

# Nine colours times eight shapes.
_KINDS = 72


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
    """How many demo videos a class gets in each split.

    Attributes:
        train: To learn from.
        val: To choose the best epoch by.
        test: To measure with.
    """

    train: Count = 8
    val: Count = 3
    test: Count = 5


@dataclass(frozen=True, kw_only=True, config=STRICT)
class KindsPerSplit:
    """How many of the 72 colours and shapes the clips of each split show.

    Attributes:
        train: To learn from.
        val: To choose the best epoch by.
        test: To measure with.
    """

    train: Count = 52
    val: Count = 8
    test: Count = 12


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DemoMotionsConfig:
    """Short demo clips, each of one object in one of seven motions.

    Attributes:
        kinds: Objects of each split; none is in two splits.
        repeats: Clips of a training object in one motion; the other splits have one.
        seconds: Usual length of a clip.
        width: A multiple of 64: of small pictures with other widths x264 was seen to write other
            bytes for the same frames.
        height: In pixels.
    """

    kinds: KindsPerSplit = field(default_factory=KindsPerSplit)
    repeats: Count = 2
    seconds: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 2.5
    width: Annotated[int, Field(ge=64, multiple_of=64)] = 128
    height: Annotated[int, Field(ge=32, multiple_of=2)] = 96

    def __post_init__(self) -> None:
        """Raises ValueError where there are not as many objects."""
        if self.kinds.train + self.kinds.val + self.kinds.test > _KINDS:
            raise ValueError(f"kinds: there are only {_KINDS} colours and shapes")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DemoDataConfig:
    """The rendered demo data set.

    Attributes:
        seed: Of all that is drawn at random.
        videos_per_class: Videos of each class.
        seconds: Usual length of a video.
        width: In pixels.
        height: In pixels.
        motions: The clips of single objects beside the videos.
    """

    seed: Natural = 7
    videos_per_class: VideosPerClass = field(default_factory=VideosPerClass)
    seconds: Annotated[float, Field(ge=6, allow_inf_nan=False)] = 20.0
    width: Annotated[int, Field(ge=32, multiple_of=2)] = 160
    height: Annotated[int, Field(ge=32, multiple_of=2)] = 120
    motions: DemoMotionsConfig = field(default_factory=DemoMotionsConfig)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DemoClipConfig:
    """Training of the demo CLIP from scratch on rendered stills.

    Attributes:
        seed: Of the first weights and the stills.
        steps: Optimizer steps, each on one batch.
        backgrounds: Stills without an object in every batch, beside one of each colour and shape.
        lr: Rate after the warm-up, the largest.
        weight_decay: Of AdamW.
        warmup_steps: Steps in which the rate rises.
        held_out: Stills that are drawn for its metrics, from another random stream.
    """

    seed: Natural = 7
    steps: Count = 900
    backgrounds: Natural = 12
    lr: Positive = 2e-3
    weight_decay: NonNegative = 0.1
    warmup_steps: Natural = 100
    held_out: Count = 1440


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DemoVitConfig:
    """Training of the demo's vision transformer beside the demo CLIP.

    Attributes:
        seed: Of the first weights and the stills.
        steps: Optimizer steps, each on one batch.
        backgrounds: Stills without an object in every batch, beside one of each colour and shape.
        teacher_weight: Weight of the distance to the demo CLIP's image tower in the loss.
        lr: Rate after the warm-up, the largest.
        weight_decay: Of AdamW.
        warmup_steps: Steps in which the rate rises.
    """

    seed: Natural = 7
    steps: Count = 3000
    backgrounds: Natural = 12
    teacher_weight: NonNegative = 5.0
    lr: Positive = 2e-3
    weight_decay: NonNegative = 0.05
    warmup_steps: Natural = 200

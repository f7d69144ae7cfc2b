"""The sections ``evaluate`` and ``few_shot``."""

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from pipeline_lib.config.retrieval import EvaluateTempMeStopConfig
from pipeline_lib.config.sections import (
    STRICT,
    Cosine,
    Count,
    FrameSegments,
    Natural,
    NonNegative,
    Positive,
)
from pipeline_lib.config.videomamba import EvaluateVideoMambaConfig


@dataclass(frozen=True, kw_only=True, config=STRICT)
class EvaluatePosNegConfig:
    """Frames chosen for questions, before and after fine-tuning.

    Attributes:
        checkpoint: The best epoch on val, or the last one.
        fps: Frames a second among which a model chooses.
        k: Frames chosen of a video, for Sim-m and the pictures.
        recall_at: Numbers of chosen frames at which recall is measured.
        segments: How the timeline is cut, one frame a part: see ``metrics.frame_choice``.
        tolerance_s: A support time is found by a chosen frame at most this far away.
        random_draws: Repetitions of the random control, of which the mean is taken.
        examples: Pictures of single items.
    """

    checkpoint: Literal["best", "final"] = "best"
    fps: Positive = 4.0
    k: Count = 4
    recall_at: Annotated[tuple[Count, ...], Field(min_length=1)] = (1, 2, 4, 8)
    segments: FrameSegments = "equal"
    tolerance_s: NonNegative = 1.0
    random_draws: Count = 20
    examples: Natural = 12


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SimMConfig:
    """Sim-m: the share of items of which every true frame has a similar chosen frame.

    Attributes:
        backbone: The section of ``extract`` whose image network compares frames.
        thresholds: Cosines m from which two frames are similar.
        squash: ``1920x1080`` scales every frame to this size first, whatever its shape, as the
            original scripts do; null leaves it as it is.
    """

    backbone: str = "dinov2"
    thresholds: Annotated[tuple[Cosine, ...], Field(min_length=1)] = (0.95, 0.96, 0.97, 0.98, 0.99)
    squash: Annotated[str, Field(pattern=r"^[1-9]\d{0,3}x[1-9]\d{0,3}$")] | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class EvaluateConfig:
    """Evaluation.

    Attributes:
        checkpoint: The best epoch on val, or the last one, as the paper reports.
        video_pooling: How the window logits of a video become its prediction.
        zero_shot_prompt: The plain prompt of the zero-shot control; ``{}`` is the class name.
        timelines: Most pictures of single videos, spread over the classes.
        pos_neg: Of frames for questions.
        sim_m: Similarity of chosen frames to true ones.
        tempme_stop: Of text-video retrieval.
        videomamba: Of classes or values of videos.
    """

    checkpoint: Literal["best", "final"] = "best"
    video_pooling: Literal["mean", "max", "vote"] = "mean"
    zero_shot_prompt: str = "a photo of a {}."
    timelines: Natural = 200
    pos_neg: EvaluatePosNegConfig = field(default_factory=EvaluatePosNegConfig)
    sim_m: SimMConfig = field(default_factory=SimMConfig)
    tempme_stop: EvaluateTempMeStopConfig = field(default_factory=EvaluateTempMeStopConfig)
    videomamba: EvaluateVideoMambaConfig = field(default_factory=EvaluateVideoMambaConfig)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FewShotConfig:
    """The few-shot curve: how far a handful of windows a class goes.

    Attributes:
        shots: Training windows a class, one point of the curve each.
        seeds: One draw of windows and one run each.
    """

    shots: Annotated[tuple[Count, ...], Field(min_length=1)] = (1, 2, 4, 8, 16)
    seeds: Annotated[tuple[Natural, ...], Field(min_length=1)] = (1, 2, 3)

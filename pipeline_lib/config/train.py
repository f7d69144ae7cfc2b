"""The section ``train``: CoOp's parameters, and a sub-section for each other trainer."""

from dataclasses import field, fields
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from pipeline_lib.config.retrieval import TempMeStopConfig
from pipeline_lib.config.sections import (
    STRICT,
    Count,
    Fraction,
    Natural,
    NonNegative,
    Positive,
    Precision,
)
from pipeline_lib.config.videomamba import VideoMambaConfig


@dataclass(frozen=True, kw_only=True, config=STRICT)
class WindowConfig:
    """Sliding windows over per-second features, and which of them train.

    Attributes:
        unit_duration: Rows in one window.
        overlap_ratio: Overlap of neighbouring training windows, in [0, 1).
        strict_normal_sampling: Drop the event-free windows of an event video that do not end
            before its first event (training split only).
        normal_class: Directory of the class without events.
        pre_event: Label of a kept event-free window of an event video: the normal class, the
            video's class, or drop it.
        unannotated: What an event video without annotated events becomes: all its windows carry
            its class, it is left out, or the stage stops.
    """

    unit_duration: Count = 1
    overlap_ratio: Fraction = 0.0
    strict_normal_sampling: bool = True
    normal_class: str = "normal"
    pre_event: Literal["normal", "class", "drop"] = "normal"
    unannotated: Literal["keep", "skip", "error"] = "keep"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainConfig(WindowConfig):
    """CoOp prompt learning; its parameters sit directly under ``train:``.

    ``preset`` decides every value that is null here; they stand in
    ``pipeline_lib.trainers.coop.presets``.

    Attributes:
        backbone: The section of ``extract`` whose features and text tower are used.
        control_backbone: Features of untrained weights for the random-init control, or null.
        n_ctx: Context tokens. With ``ctx_init`` the number of its BPE tokens is used.
        ctx_init: Words the context starts from, or null for N(0, 0.02^2).
        csc: Class-specific contexts.
        class_token_position: Where the class name stands among the context tokens.
        class_names: Directory name to the words the prompt uses for it.
        temporal_agg: How the rows of one window become one feature.
        shots: Training windows a class, drawn at random from as many videos as possible; null
            takes all.
        preset: ``original`` trains as the paper did; ``fast`` takes few large steps.
        optimizer: ``sgd`` or ``adamw``.
        lr: Rate after the warm-up, the largest.
        momentum: Of SGD.
        weight_decay: Of the optimizer.
        epochs: Passes over the training windows.
        batch_size: Windows in one batch; null in ``fast`` fits it to the number of windows.
        accumulate: Batches in one optimizer step; the text tower runs once for all of them.
        drop_last: Leave out a last batch that is not full, unless it is the only one.
        schedule: ``epoch`` holds ``warmup_lr`` through the warm-up and then follows a cosine, both
            by the epoch; ``step`` rises linearly from it and falls to 0, both by the step.
        warmup_epochs: Length of the warm-up.
        warmup_lr: Rate at its start.
        patience: Epochs without improvement on val before stopping; 0 never stops.
        precision: Of the text tower; context, logits and loss are always fp32.
        select: The val frame metric that chooses the best epoch.
        save_every: Epochs between kept checkpoints; 0 keeps only best and final.
        seeds: One run each. The first is the model; all are in the mean and its deviation.
        allow_untrained: Train on features of random weights, which otherwise is refused.
    """

    backbone: str = "clip"
    control_backbone: str | None = None
    n_ctx: Count = 16
    ctx_init: str | None = None
    csc: bool = False
    class_token_position: Literal["end", "middle", "front"] = "end"
    class_names: dict[str, str] = field(default_factory=dict)
    temporal_agg: Literal["mean", "max"] = "mean"
    shots: Count | None = None
    preset: Literal["original", "fast"] = "original"
    optimizer: Literal["sgd", "adamw"] | None = None
    lr: Positive | None = None
    momentum: Fraction | None = None
    weight_decay: NonNegative | None = None
    epochs: Count | None = None
    batch_size: Count | None = None
    accumulate: Count = 1
    drop_last: bool | None = None
    schedule: Literal["epoch", "step"] | None = None
    warmup_epochs: Natural | None = None
    warmup_lr: Positive | None = None
    patience: Natural | None = None
    precision: Literal["auto", "fp32", "bf16"] | None = None
    select: Literal["balanced_accuracy", "accuracy"] = "balanced_accuracy"
    save_every: Natural = 10
    seeds: Annotated[tuple[Natural, ...], Field(min_length=1)] = (1,)
    allow_untrained: bool = False


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PosNegConfig:
    """Fine-tuning of a CLIP on true and negative frames of questions.

    Attributes:
        backbone: The section of ``extract`` with the CLIP to start from.
        caption: What is said of an item's true frames: its question, its choices joined by spaces,
            or both.
        split: ``folder`` takes train, val and test from the first folder of ``video_path``;
            ``ratio`` draws them, whole videos at a time.
        val_ratio: Share of the videos drawn for validation, with ``split: ratio``.
        test_ratio: Share of the videos drawn for the test, with ``split: ratio``.
        loss: A name in ``pipeline_lib.trainers.pos_neg.losses``.
        mode: Train all weights (``full``), low-rank additions (``lora``), or only the projections
            into the common space (``head``).
        lora_rank: Rank of the additions.
        lora_alpha: Their scale is ``lora_alpha / lora_rank``.
        lr: Rate after the warm-up, the largest.
        weight_decay: Of AdamW.
        warmup_ratio: Share of the steps in which the rate rises.
        epochs: Passes over the training items.
        batch_size: Items in one batch, each with all its frames.
        accumulate: Batches in one optimizer step; a last, smaller group is a step too.
        clip_grad_norm: Longest gradient; null leaves it as it is.
        precision: Of the forward pass; weights and optimizer are fp32.
        grad_checkpointing: Compute activations again instead of keeping them.
        select: The val metric that chooses the best epoch; ``last`` needs no val items.
        patience: Epochs without improvement on val before stopping; 0 never stops.
        save_every: Epochs between kept checkpoints; 0 keeps only best and final.
        seed: Of the split, the additions and the order of items.
    """

    backbone: str = "clip"
    caption: Literal["question", "choices", "question_choices"] = "question"
    split: Literal["folder", "ratio"] = "folder"
    val_ratio: Fraction = 0.2
    test_ratio: Fraction = 0.0
    loss: str = "video_nce"
    mode: Literal["full", "lora", "head"] = "full"
    lora_rank: Count = 8
    lora_alpha: Positive = 16.0
    lr: Positive = 1e-5
    weight_decay: NonNegative = 0.01
    warmup_ratio: Fraction = 0.1
    epochs: Count = 10
    batch_size: Count = 16
    accumulate: Count = 1
    clip_grad_norm: Positive | None = 1.0
    precision: Precision = "auto"
    grad_checkpointing: bool = False
    select: Literal["average_precision", "loss", "last"] = "average_precision"
    patience: Natural = 0
    save_every: Natural = 0
    seed: Natural = 1


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainSection(TrainConfig):
    """The section ``train``: CoOp's parameters, and a sub-section for each other trainer."""

    pos_neg: PosNegConfig = field(default_factory=PosNegConfig)
    tempme_stop: TempMeStopConfig = field(default_factory=TempMeStopConfig)
    videomamba: VideoMambaConfig = field(default_factory=VideoMambaConfig)

    @property
    def coop(self) -> TrainConfig:
        """CoOp's parameters alone, so that its fingerprints know of no other trainer."""
        return TrainConfig(**{f.name: getattr(self, f.name) for f in fields(TrainConfig)})

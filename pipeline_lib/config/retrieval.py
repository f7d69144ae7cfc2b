"""Text-video retrieval: the sub-sections ``train.tempme_stop`` and ``evaluate.tempme_stop``."""

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from pipeline_lib.config.sections import (
    STRICT,
    Count,
    Fraction,
    Natural,
    NonNegative,
    Positive,
    Precision,
)

SimHeader = Literal["meanP", "seqTransf", "seqLSTM", "tightTransf"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class VideoTextConfig:
    """Videos with captions.

    Attributes:
        kind: The format, a name in ``pipeline_lib.datasets.video_text``.
        annotations: Folder of the files as they are distributed, or the file itself for
            ``captions``; null is the file ``captions.json`` below ``data.root``.
        videos: Folder of the video files; null is ``videos`` below ``data.root``.
        variant: Which of several training lists, where the data set has them (MSR-VTT: ``9k`` or
            ``7k``); null is the usual one.
        val_ratio: Share of the training videos kept for validation where the data set has no
            validation list, so that nothing is chosen on the test list.
        equal_captions: Whether a caption that several videos bear word for word matches all of
            them, or, as the published protocols count, only the video of its own row.
        on_missing: Whether videos that are missing or broken stop the stage after the others are
            done, or are only listed and counted.
    """

    kind: str = "captions"
    annotations: str | None = None
    videos: str | None = None
    variant: str | None = None
    val_ratio: Fraction = 0.1
    equal_captions: Literal["match", "distinct"] = "distinct"
    on_missing: Literal["list", "stop"] = "list"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TempMeStopModelConfig:
    """The architecture of a TempMe-STOP network around a frozen CLIP.

    ``merging`` decides every value that is null here; its presets stand in
    ``pipeline_lib.networks.merge_schedule``.

    Attributes:
        backbone: The section of ``extract`` with the frozen CLIP, a ViT.
        merging: A merge preset.
        clips: Clips that are left after joining, each one row of the result. The network sees
            ``clips`` times the product of ``merge_frame_num`` frames of a video.
        merge_layer: Blocks, counted from 0, before which neighbouring clips are joined.
        merge_frame_num: How many neighbours are joined there.
        merge_across: Share of the tokens that is merged away when clips are joined.
        merge_within: Share of the tokens that is merged away in a clip in each block from the
            first joining one on.
        tome_r: Tokens merged away in each block before the first joining one.
        frame_pos: Learned frame positions where clips are joined.
        lora_dim: Rank of the low-rank additions to the attention of both towers.
        spatial_prompt: Intra-frame spatial prompts on the patch tokens.
        spatial_width: Channels of the spatial prompt's convolution.
        spatial_share: Share of a frame's patches that the spatial prompt may change.
        global_prompts: Prompt tokens a video, which see all its clips.
        temporal_prompts: Prompt tokens between two neighbouring clips; 0 has none.
        sim_header: How clips become one embedding; ``tightTransf`` re-ranks the embedding of
            ``meanP`` and has none of its own.
        max_words: Text tokens of a caption, start and end included.
    """

    backbone: str = "clip"
    merging: str = "unified"
    clips: Count | None = None
    merge_layer: tuple[Natural, ...] | None = None
    merge_frame_num: tuple[Count, ...] | None = None
    merge_across: Fraction | None = None
    merge_within: Fraction | None = None
    tome_r: Natural | None = None
    frame_pos: bool = True
    lora_dim: Natural = 8
    spatial_prompt: bool = True
    spatial_width: Count = 64
    spatial_share: Annotated[float, Field(gt=0, le=1)] = 0.25
    global_prompts: Natural = 4
    temporal_prompts: Natural = 2
    sim_header: SimHeader = "meanP"
    max_words: Annotated[int, Field(ge=3)] = 32


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TempMeStopConfig(TempMeStopModelConfig):
    """Text-video retrieval with token merging and spatial-temporal prompts.

    Attributes:
        dataset: The videos and captions.
        mode: What learns: low-rank additions and frame positions (``tempme_only``), prompts and
            gates (``stop_only``), both at once (``joint``), or the first and then, from its best
            epoch, the second (``sequential``).
        tempme_lr: Largest rate of the low-rank additions and frame positions.
        stop_lr: Largest rate of prompts, gates and ``sim_header``.
        weight_decay: Of AdamW.
        epochs: Passes over the training captions; in ``sequential`` those of each phase.
        warmup_ratio: Share of the steps in which the rates rise.
        batch_size: Captions, each with its video, that one loss compares.
        alike: How many captions of a batch are drawn together because the CLIP finds them alike,
            so that a loss has to tell what it does not yet; 1 mixes all captions at random.
        accumulate: Batches in one optimizer step.
        clip_grad_norm: Longest gradient; null leaves it as it is.
        precision: Of the forward pass; weights and optimizer are fp32.
        grad_checkpointing: Compute activations again instead of keeping them.
        frame_draws: Frames kept for each frame that the network sees, of which training draws one
            and evaluation takes the middle one.
        cache: Keep the scaled frames on disk (``disk``), or decode them in each epoch (``none``).
        select: The val metric that chooses the best epoch; ``last`` needs no val captions.
        patience: Epochs without improvement on val before stopping; 0 never stops.
        save_every: Epochs between kept checkpoints; 0 keeps only best and final.
        seed: Of the first weights, the order of captions and the frames drawn.
    """

    dataset: VideoTextConfig = field(default_factory=VideoTextConfig)
    mode: Literal["joint", "tempme_only", "stop_only", "sequential"] = "joint"
    tempme_lr: Positive = 6e-4
    stop_lr: Positive = 1e-3
    weight_decay: NonNegative = 0.2
    warmup_ratio: Fraction = 0.1
    epochs: Count = 5
    batch_size: Count = 32
    alike: Count = 1
    accumulate: Count = 1
    clip_grad_norm: Positive | None = 1.0
    precision: Precision = "auto"
    grad_checkpointing: bool = False
    frame_draws: Count = 1
    cache: Literal["disk", "none"] = "disk"
    select: Literal["r1", "loss", "last"] = "r1"
    patience: Natural = 0
    save_every: Natural = 0
    seed: Natural = 42


@dataclass(frozen=True, kw_only=True, config=STRICT)
class QbNormConfig:
    """Querybank normalisation, https://arxiv.org/abs/2112.12777; the bank is training captions.

    Attributes:
        k: A video is a hub where it is among the best ``k`` of a bank caption.
        beta: Inverse temperature.
        bank: Most captions in the bank.
    """

    k: Count = 1
    beta: Positive = 20.0
    bank: Count = 5000


@dataclass(frozen=True, kw_only=True, config=STRICT)
class EvaluateTempMeStopConfig:
    """Retrieval metrics beside controls.

    Attributes:
        checkpoint: The best epoch on val, or the last one.
        recall_at: Ranks at which recall is measured.
        shuffles: Repetitions of the shuffled-caption control, of which the mean is taken.
        dsl_scale: Inverse temperature of the dual softmax, which is reported separately.
        qb_norm: Querybank normalisation, reported separately.
        rerank: Best videos of a caption that ``tightTransf`` puts into a new order.
        examples: Pictures of single captions with their best videos.
    """

    checkpoint: Literal["best", "final"] = "best"
    recall_at: Annotated[tuple[Count, ...], Field(min_length=1)] = (1, 5, 10, 50)
    shuffles: Count = 20
    dsl_scale: Positive = 100.0
    qb_norm: QbNormConfig = field(default_factory=QbNormConfig)
    rerank: Count = 50
    examples: Natural = 8

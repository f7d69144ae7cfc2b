"""What ``params.yaml`` may say: one frozen dataclass a section, checked before any work starts."""

from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

_STRICT = ConfigDict(extra="forbid", strict=True)

Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Cosine = Annotated[float, Field(ge=-1, le=1)]

Decoder = Literal["pyav", "decord", "opencv", "ffmpeg", "torchcodec"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class DataConfig:
    """Where the videos and annotations are.

    Attributes:
        root: Folder with ``videos/``, ``annotations/``, ``qa.json``.
        exclude: Videos known to be unusable, relative to ``<root>/videos``.
    """

    root: str
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class VideosPerClass:
    """How many demo videos a class gets in each split."""

    train: Count = 8
    val: Count = 3
    test: Count = 5


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class DemoDataConfig:
    """The rendered demo data set."""

    seed: Natural = 7
    videos_per_class: VideosPerClass = field(default_factory=VideosPerClass)
    seconds: Annotated[float, Field(ge=6, allow_inf_nan=False)] = 20.0
    width: Annotated[int, Field(ge=32, multiple_of=2)] = 160
    height: Annotated[int, Field(ge=32, multiple_of=2)] = 120


@dataclass(frozen=True, kw_only=True, config=_STRICT)
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


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class ClipConfig:
    """One CLIP image tower.

    Attributes:
        model: An open_clip architecture (``ViT-B-32-quickgelu``), ``hf-hub:org/name`` or
            ``local-dir:path`` in open_clip's format, or a CLIPModel of transformers:
            ``transformers:org/name`` or ``local-dir:path``.
        weights: A pretrained tag (``openai``), a checkpoint path, ``untrained`` for random
            weights made from ``seed``, or null where ``model`` brings its own.
        seed: Seed of untrained weights; ignored otherwise.
    """

    model: str
    weights: str | None = None
    seed: Natural = 0


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class MobileClipConfig:
    """One MobileCLIP image tower.

    Attributes:
        model: ``MobileCLIP-S0``, ``-S1``, ``-S2``, ``-B``, or ``MobileCLIP2-…``.
        weights: A published name (``apple`` for S0, open_clip's tags for the others), a checkpoint
            path, or ``untrained``.
        seed: Seed of untrained weights; ignored otherwise.
    """

    model: str = "MobileCLIP-S0"
    weights: str = "apple"
    seed: Natural = 0


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class SlowFastConfig:
    """SlowFast R50 8x8, one feature a clip.

    Attributes:
        weights: ``kinetics400`` (published), a checkpoint path, or ``untrained``.
        frame: ``crop`` scales the short side to 256 and keeps the centre, as the network was
            tested; ``full`` keeps the whole width; ``squash`` ignores the aspect ratio.
        batch_size: Clips in one forward pass; a few on a GPU, where a single one leaves it idle.
        seed: Seed of untrained weights; ignored otherwise.
    """

    weights: str = "kinetics400"
    frame: Literal["crop", "full", "squash"] = "crop"
    batch_size: Count = 1
    seed: Natural = 0


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class DinoV2Config:
    """One DINOv2 image network, its class token.

    Attributes:
        model: ``small``, ``base`` or ``large``.
        weights: ``facebook`` (published), a folder in transformers' format, or ``untrained``.
        seed: Seed of untrained weights; ignored otherwise.
    """

    model: Literal["small", "base", "large"] = "base"
    weights: str = "facebook"
    seed: Natural = 0


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class ExtractConfig:
    """Features of whole videos.

    Attributes:
        backbones: Which backbones ``dvc repro`` extracts; each has its section here.
        every_s: Spacing of the rows of ``<stem>.npy``: row k is the frame at k * every_s.
        clip_len_s: Length of one clip, one row of ``<stem>.npz``.
        fps: Frames a second that an image network sees of a clip; null is every frame. A clip
            network brings its own number.
        boundaries: ``time`` cuts clips by the clock; ``frame_count`` by int(fps * clip_len_s)
            frames of the declared rate, as older extractors do.
        partial_clip: A last clip shorter than ``clip_len_s`` is kept (with ``valid`` below 1) or
            dropped, even if it is the only one.
        batch_size: Frames in one forward pass; batches run across videos.
        precision: ``auto`` is bf16 where the hardware multiplies it natively, else fp32.
        engine: What runs the networks; ``openvino`` is faster on many CPUs and has to be installed.
        decoder: What reads the videos.
        tolerant: Take what can be read of a damaged video; otherwise it fails with the reason.
    """

    backbones: tuple[str, ...] = ("clip",)
    every_s: Seconds = 1.0
    clip_len_s: Seconds = 2.0
    fps: Positive | None = 2.0
    boundaries: Literal["time", "frame_count"] = "time"
    partial_clip: Literal["keep", "drop"] = "keep"
    batch_size: Count = 32
    precision: Precision = "auto"
    engine: Literal["torch", "openvino"] = "torch"
    decoder: Decoder = "pyav"
    tolerant: bool = False
    clip: ClipConfig | None = None
    clip_untrained: ClipConfig | None = None
    mobileclip: MobileClipConfig | None = None
    slowfast: SlowFastConfig | None = None
    dinov2: DinoV2Config | None = None


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class MineConfig:
    """True and negative frames of question items.

    Attributes:
        backbone: The section of ``extract`` whose image tower compares frames.
        segments: Equal parts of the timeline that are searched for negatives.
        frames_per_segment: Negatives wanted from each segment.
        tries_per_segment: Candidates drawn in each segment to get them.
        threshold: A negative's cosine to every true frame is below this.
    """

    backbone: str = "clip"
    segments: Count = 5
    frames_per_segment: Count = 1
    tries_per_segment: Count = 4
    threshold: Cosine = 0.95
    seed: Natural = 42


@dataclass(frozen=True, kw_only=True, config=_STRICT)
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


@dataclass(frozen=True, kw_only=True, config=_STRICT)
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
        class_names: Directory name to the words the prompt uses for it.
        temporal_agg: How the rows of one window become one feature.
        shots: Training windows a class, drawn at random from as many videos as possible; null
            takes all.
        preset: ``original`` trains as the paper did; ``fast`` takes few large steps.
        optimizer: ``sgd`` or ``adamw``.
        momentum: Of SGD.
        batch_size: Windows in one batch; null in ``fast`` fits it to the number of windows.
        accumulate: Batches in one optimizer step; the text tower runs once for all of them.
        drop_last: Leave out a last batch that is not full, unless it is the only one.
        schedule: ``epoch`` holds ``warmup_lr`` through the warm-up and then follows a cosine, both
            by the epoch; ``step`` rises linearly from it and falls to 0, both by the step.
        warmup_epochs: Length of the warm-up.
        patience: Epochs without improvement on val before stopping; 0 never stops.
        precision: Of the text tower; context, logits and loss are always fp32.
        select: The val frame metric that chooses the best epoch.
        save_every: Epochs between kept checkpoints; 0 keeps only best and final.
        seeds: One run each. The first is the model; all are in the mean and its deviation.
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


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class EvaluateConfig:
    """Evaluation.

    Attributes:
        checkpoint: The best epoch on val, or the last one, as the paper reports.
        video_pooling: How the window logits of a video become its prediction.
        zero_shot_prompt: The plain prompt of the zero-shot control; ``{}`` is the class name.
        timelines: Most pictures of single videos, spread over the classes.
    """

    checkpoint: Literal["best", "final"] = "best"
    video_pooling: Literal["mean", "max", "vote"] = "mean"
    zero_shot_prompt: str = "a photo of a {}."
    timelines: Natural = 200


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class FewShotConfig:
    """The few-shot curve: how far a handful of windows a class goes.

    Attributes:
        shots: Training windows a class, one point of the curve each.
        seeds: One draw of windows and one run each.
    """

    shots: Annotated[tuple[Count, ...], Field(min_length=1)] = (1, 2, 4, 8, 16)
    seeds: Annotated[tuple[Natural, ...], Field(min_length=1)] = (1, 2, 3)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class RuntimeConfig:
    """How this machine runs the work; never part of a result's fingerprint.

    Attributes:
        device: Where networks run.
        threads: CPU threads; 0 takes all cores.
        executor: Where extraction happens: ``process`` decodes ahead in other processes,
            ``serial`` in its own, ``shard`` does one part of the videos, ``ray`` uses a cluster.
        decode_workers: Decoding processes; 0 takes one a core.
        decode_stall_s: Seconds without progress after which a decoding process is stopped.
        ray_actors: Ray actors, each with its own networks; 0 takes one a GPU, or one a CPU.
    """

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$")] = "auto"
    threads: Natural = 0
    executor: Literal["serial", "process", "shard", "ray"] = "process"
    decode_workers: Natural = 0
    decode_stall_s: Positive = 60.0
    ray_actors: Natural = 0


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Params:
    """All of ``params.yaml``."""

    data: DataConfig
    demo_data: DemoDataConfig = field(default_factory=DemoDataConfig)
    demo_clip: DemoClipConfig = field(default_factory=DemoClipConfig)
    extract: ExtractConfig = field(default_factory=ExtractConfig)
    mine: MineConfig = field(default_factory=MineConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    few_shot: FewShotConfig = field(default_factory=FewShotConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)


def as_dict(config: Any) -> dict[str, Any]:
    """A config section as plain JSON types, for fingerprints and checkpoint metadata."""
    from pydantic import TypeAdapter

    return dict(TypeAdapter(type(config)).dump_python(config, mode="json"))

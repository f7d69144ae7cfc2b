"""The sections ``extract``, with one sub-section a backbone, and ``mine``."""

from typing import Literal

from pydantic.dataclasses import dataclass

from pipeline_lib.config.sections import (
    STRICT,
    Cosine,
    Count,
    Decoder,
    Natural,
    Positive,
    Precision,
    Seconds,
    TimePolicy,
)
from pipeline_lib.config.videomamba import VideoMambaSize


@dataclass(frozen=True, kw_only=True, config=STRICT)
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


@dataclass(frozen=True, kw_only=True, config=STRICT)
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


@dataclass(frozen=True, kw_only=True, config=STRICT)
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


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DinoV2Config:
    """One DINOv2 image network, its class token.

    Attributes:
        model: ``small``, ``base``, ``large`` or ``giant``.
        weights: ``facebook`` (published), a folder in transformers' format, or ``untrained``.
        seed: Seed of untrained weights; ignored otherwise.
    """

    model: Literal["small", "base", "large", "giant"] = "base"
    weights: str = "facebook"
    seed: Natural = 0


@dataclass(frozen=True, kw_only=True, config=STRICT)
class VideoMambaBackboneConfig:
    """One VideoMamba, its class token: one feature a clip.

    Attributes:
        weights: A published checkpoint's path, a folder that ``train videomamba`` wrote, or
            ``untrained``.
        size: Of untrained weights; a checkpoint's tensors say its own.
        frames: Frames of a clip; null is what the checkpoint was trained with. Another number
            interpolates its positions.
        image_size: Side of a frame; null is what the checkpoint was trained with.
        batch_size: Clips in one forward pass.
        seed: Seed of untrained weights; ignored otherwise.
    """

    weights: str = "data/models/videomamba/best"
    size: VideoMambaSize = "tiny"
    frames: Count | None = None
    image_size: Count | None = None
    batch_size: Count = 4
    seed: Natural = 0


@dataclass(frozen=True, kw_only=True, config=STRICT)
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
    clip_vit: ClipConfig | None = None
    mobileclip: MobileClipConfig | None = None
    slowfast: SlowFastConfig | None = None
    dinov2: DinoV2Config | None = None
    videomamba: VideoMambaBackboneConfig | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MineConfig:
    """True and negative frames of question items.

    Attributes:
        backbone: The section of ``extract`` whose image tower compares frames.
        strategy: Which candidates of a segment become negatives: those drawn first (``random``),
            or those most similar to a true frame (``hard``); both only below the threshold.
        segments: Equal parts of the timeline that are searched for negatives.
        frames_per_segment: Negatives wanted from each segment.
        tries_per_segment: Candidates drawn in each segment of a video; its items share them.
        threshold: A negative's cosine to every true frame is below this.
        negative_time: What a support time before 0 does: the item fails and is listed, the time
            becomes 0, or the time is left out.
        beyond_end: The same for a time after the end, which ``clamp`` moves to the last frame.
        on_failure: Whether failed items stop the pipeline after the others are mined, or are only
            listed.
        seed: Of the candidates that are drawn.
    """

    backbone: str = "clip"
    strategy: Literal["random", "hard"] = "random"
    segments: Count = 5
    frames_per_segment: Count = 1
    tries_per_segment: Count = 4
    threshold: Cosine = 0.95
    negative_time: TimePolicy = "fail"
    beyond_end: TimePolicy = "fail"
    on_failure: Literal["stop", "list"] = "stop"
    seed: Natural = 42

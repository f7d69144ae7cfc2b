"""VideoMamba: the sub-sections ``train.videomamba`` and ``evaluate.videomamba``."""

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

Share = Annotated[float, Field(ge=0, le=1)]
VideoMambaSize = Literal["tiny", "small", "middle", "base"]
Scan = Literal["auto", "torch", "compiled", "cuda"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class VideoMambaModelConfig:
    """The architecture of a VideoMamba.

    Attributes:
        size: A published width and depth: see ``pipeline_lib.networks.videomamba``.
        embed_dim: Another width; null is that of ``size``.
        depth: Another number of blocks; null is that of ``size``.
        patch_size: Side of a patch in pixels.
        tubelet: Frames that one patch covers.
        frames: Frames of a clip.
        image_size: Side of a frame in pixels.
        init: Random weights as published (``reference``), where no token sees further than some
            fifty others at first, or with Mamba's own steps of 0.001 to 0.1 (``mamba-dt``).
        position_std: Deviation of random positions in space and time; null is as published, 0.02
            in space and 0 in time. A small network finds motion sooner where it is larger.
    """

    size: VideoMambaSize = "tiny"
    embed_dim: Count | None = None
    depth: Count | None = None
    patch_size: Count = 16
    tubelet: Count = 1
    frames: Count = 8
    image_size: Count = 224
    init: Literal["mamba-dt", "reference"] = "mamba-dt"
    position_std: Positive | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class VideoListConfig:
    """Videos with a class or a value each.

    Attributes:
        format: ``folders`` are ``<videos>/{train,val,test}/{class}/``; ``videos`` and ``frames``
            are lists ``{train,val,test}.csv`` without a header, of ``path,label`` with an optional
            third column of seconds, or of ``path,frames,label`` for folders of pictures;
            ``lvu`` are the lists of LVU as ViS4mer distributes them.
        lists: Folder of the lists.
        videos: Folder of the videos; null is ``videos`` below ``data.root``.
        separator: Between the columns of a list.
        frame_name: File name of a picture, of its number from 1.
        class_names: File with one class name a line, for labels that are numbers.
        column: The column of an ``lvu`` list that is to be learned.
        target: What a value becomes before it is learned, see ``datasets.video_clips.targets``.
        sampling: ``sparse``: one frame of each of equal parts of the video; ``dense``: a window of
            frames ``rate`` apart; ``segments``: one frame of each part as Something-Something is
            sampled; null is that of the preset.
        rate: Frames from one frame of a dense window to the next.
        trimmed_s: Cut long videos into windows of so many seconds, each a sample; null does not.
        time_stride_s: Seconds from one window to the next.
        short_side: Scale frames so that the shorter side has so many pixels before anything else;
            null leaves them as they are.
        frame_draws: Frames kept on disk for each frame that the network sees, of which training
            draws one; null decodes what each epoch draws.
        on_missing: Whether videos that are missing or broken stop the stage after the others are
            done, or are only listed and counted.
    """

    format: Literal["folders", "videos", "frames", "lvu"] = "folders"
    lists: str | None = None
    videos: str | None = None
    separator: Annotated[str, Field(min_length=1)] = ","
    frame_name: str = "img_{:05}.jpg"
    class_names: str | None = None
    column: str | None = None
    target: Literal["none", "view_count", "like_ratio"] = "none"
    sampling: Literal["sparse", "dense", "segments"] | None = None
    rate: Count = 4
    trimmed_s: Positive | None = None
    time_stride_s: Positive = 16.0
    short_side: Count | None = None
    frame_draws: Count | None = None
    on_missing: Literal["list", "stop"] = "list"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class VideoMambaPretrainConfig:
    """Masked pretraining against a frozen CLIP.

    Attributes:
        teacher: The section of ``extract`` with the CLIP, a ViT.
        teacher_patches: Patches of the teacher along a side of one of the student's; their tokens
            are averaged. 1 lets it see the student's own grid, as published; 2 suits a teacher
            whose patches are half as large in frames of the same size.
        mask: How hidden patches are drawn.
        mask_ratio: Share of the patches of a frame that are hidden.
        aligned_layers: Layers of the student that are compared with layers of the teacher, counted
            from the last.
        layer_interval: Layers from one of them to the next.
        alignment: ``correct`` compares the output of each such block; ``reference`` compares what
            the published code compares, in which the last block learns nothing.
        loss: ``l2`` of unit vectors, ``mse`` or ``smooth_l1``.
        lr: For a batch of 256; the rate itself is ``lr * batch_size * accumulate / 256``.
        min_lr: Where the cosine ends, scaled alike.
        weight_decay: Of AdamW.
        betas: Of AdamW.
        drop_path: Chance that a sample skips the last block; it grows with depth.
        epochs: Passes over the training videos.
        warmup_epochs: Epochs in which the rate rises.
        scales: Side of a training crop, as shares of the shorter side.
        flip: Chance that a clip is mirrored.
        batch_size: Clips in one batch, over all processes.
        accumulate: Batches in one optimizer step.
        clip_grad_norm: Longest gradient; null leaves it as it is.
        precision: Of the forward pass; weights, optimizer and recurrence are fp32.
        grad_checkpointing: Compute activations again instead of keeping them.
        select: ``loss`` on val, of masks that stay the same, or ``last``.
        patience: Epochs without improvement on val before stopping; 0 never stops.
        save_every: Epochs between kept checkpoints; 0 keeps only best and final.
        seed: Of the first weights, the masks and the frames drawn.
    """

    teacher: str = "clip"
    teacher_patches: Count = 1
    mask: Literal["attention", "tube", "random", "tube_row", "random_row"] = "attention"
    mask_ratio: Fraction = 0.8
    aligned_layers: Count = 1
    layer_interval: Count = 1
    alignment: Literal["correct", "reference"] = "correct"
    loss: Literal["l2", "mse", "smooth_l1"] = "l2"
    lr: Positive = 1.5e-4
    min_lr: NonNegative = 1e-5
    weight_decay: NonNegative = 0.05
    betas: tuple[Fraction, Fraction] = (0.9, 0.95)
    drop_path: Fraction = 0.4
    epochs: Count = 801
    warmup_epochs: Natural = 40
    scales: Annotated[tuple[Positive, ...], Field(min_length=1)] = (1.0, 0.875, 0.75, 0.66)
    flip: Share = 0.5
    batch_size: Count = 64
    accumulate: Count = 1
    clip_grad_norm: Positive | None = None
    precision: Precision = "auto"
    grad_checkpointing: bool = False
    select: Literal["loss", "last"] = "last"
    patience: Natural = 0
    save_every: Natural = 0
    seed: Natural = 0


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AugmentConfig:
    """What training does to a clip; null values are those of the preset.

    Attributes:
        rand_augment: timm's notation, ``rand-m7-n4-mstd0.5-inc1``; ``none`` leaves it out.
        scale: Smallest and largest area of a random crop, as shares of the frame.
        ratio: Narrowest and widest shape of it.
        flip: Chance that a clip is mirrored.
        erase: Chance that a box is filled with noise.
        mixup: Beta of mixing two clips; 0 never does.
        cutmix: Beta of putting a box of one clip into another; 0 never does.
        mix_probability: Chance that a batch is mixed at all.
        switch_probability: Chance of cutmix where both are on.
        smoothing: Of the classes.
        repeats: Augmentations of one decoded clip in one batch.
    """

    rand_augment: str | None = None
    scale: tuple[Positive, Positive] | None = None
    ratio: tuple[Positive, Positive] | None = None
    flip: Share | None = None
    erase: Share | None = None
    mixup: NonNegative | None = None
    cutmix: NonNegative | None = None
    mix_probability: Share | None = None
    switch_probability: Share | None = None
    smoothing: Fraction | None = None
    repeats: Count | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class VideoMambaConfig:
    """Training of a VideoMamba for classes or values of videos.

    ``preset`` decides every value that is null here and in ``augment``; the presets stand in
    ``pipeline_lib.trainers.videomamba.presets``.

    Attributes:
        model: The architecture.
        dataset: The videos.
        pretrain: Masked pretraining, a stage of its own.
        preset: ``kinetics``, ``ssv2``, ``breakfast``, ``coin`` or ``lvu``, or one of the first
            four with ``-masked`` for a start from masked pretraining.
        start: ``pretrained`` is the pipeline's masked pretraining, ``scratch`` random weights,
            anything else a checkpoint: published, or a model folder.
        compare_scratch: Train another network of the same size and as many steps from random
            weights, as a control.
        task: Classes, or values by regression.
        lr: For a batch of 256; the rate itself is
            ``lr * batch_size * accumulate * augment.repeats / 256``.
        min_lr: Where the cosine ends, scaled alike.
        warmup_lr: Where the warm-up starts, scaled alike.
        weight_decay: Of AdamW.
        betas: Of AdamW.
        epsilon: Of AdamW.
        layer_decay: Each layer's rate is that of the next one times this; 1 treats all alike.
        layer_decay_rule: ``depth`` counts the blocks; ``reference`` slows down the embeddings
            alone, as the published runs did.
        drop_path: Chance that a sample skips the last block; it grows with depth.
        head_dropout: Before the classifier.
        epochs: Passes over the training videos.
        warmup_epochs: Epochs in which the rate rises.
        batch_size: Clips in one batch, over all processes.
        accumulate: Batches in one optimizer step.
        clip_grad_norm: Longest gradient; null leaves it as it is.
        precision: Of the forward pass; weights, optimizer and recurrence are fp32.
        grad_checkpointing: Compute activations again instead of keeping them.
        select: What chooses the best epoch on val; ``accuracy`` is the squared error where values
            are learned. ``last`` needs no val videos.
        patience: Epochs without improvement on val before stopping; 0 never stops.
        save_every: Epochs between kept checkpoints; 0 keeps only best and final.
        seed: Of the first weights, the frames drawn and their augmentation.
    """

    model: VideoMambaModelConfig = field(default_factory=VideoMambaModelConfig)
    dataset: VideoListConfig = field(default_factory=VideoListConfig)
    pretrain: VideoMambaPretrainConfig = field(default_factory=VideoMambaPretrainConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    preset: str = "kinetics"
    start: str = "scratch"
    compare_scratch: bool = False
    task: Literal["classification", "regression"] = "classification"
    lr: Positive | None = None
    min_lr: NonNegative | None = None
    warmup_lr: NonNegative | None = None
    weight_decay: NonNegative | None = None
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    epsilon: Positive = 1e-8
    layer_decay: Annotated[float, Field(gt=0, le=1)] | None = None
    layer_decay_rule: Literal["depth", "reference"] = "depth"
    drop_path: Fraction | None = None
    head_dropout: Fraction = 0.0
    epochs: Count | None = None
    warmup_epochs: Natural | None = None
    batch_size: Count = 64
    accumulate: Count = 1
    clip_grad_norm: Positive | None = None
    precision: Precision = "auto"
    grad_checkpointing: bool = False
    select: Literal["accuracy", "loss", "last"] = "accuracy"
    patience: Natural = 0
    save_every: Natural = 0
    seed: Natural = 0


@dataclass(frozen=True, kw_only=True, config=STRICT)
class EvaluateVideoMambaConfig:
    """Classification or regression of whole videos, beside controls.

    Attributes:
        checkpoint: The best epoch on val, or the last one.
        segments: Clips of a video whose results are averaged; null is that of the preset.
        crops: Crops of each clip; null is that of the preset.
        frame_backbone: The section of ``extract`` with the CLIP of the control that sees single
            frames only; null leaves it out.
        examples: Pictures of single videos.
    """

    checkpoint: Literal["best", "final"] = "best"
    segments: Count | None = None
    crops: Count | None = None
    frame_backbone: str | None = None
    examples: Natural = 8

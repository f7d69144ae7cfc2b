"""What the fields of a unified TempMe-STOP configuration mean here, and which cannot be meant."""

import dataclasses
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pipeline_lib.config import (
    ClipConfig,
    SimHeader,
    TempMeStopConfig,
    TempMeStopModelConfig,
    VideoTextConfig,
)
from pipeline_lib.datasets.video_text import VIDEO_TEXT
from pipeline_lib.errors import ConfigError, did_you_mean
from pipeline_lib.networks.merge_schedule import resolve, token_plan
from pipeline_lib.params_file import override
from pipeline_lib.retrieval.clip_encoder import CLIPS, Encoder, clip_of, is_known, read_encoder
from pipeline_lib.retrieval.unified_config import UnifiedModelConfig

log = logging.getLogger(__name__)

# The section of ``extract`` that a unified model's CLIP gets, so that no other stage changes.
SECTION = "clip_vit"
_GROUP, _NONE = "group2-2", "none"
# Shares of the tokens of a clip above which little is left of it after a few blocks.
_HEAVY = 0.5
# Cosines between sentences and frames in CLIP's space seldom exceed this.
_HIGH_COSINE = 0.35


@dataclass(frozen=True)
class Fault:
    """A field whose value cannot be meant.

    Attributes:
        name: ``stop.freeze_clip``.
        value: What it is set to.
        reason: Why not, and what to write instead.
    """

    name: str
    value: Any
    reason: str

    def __str__(self) -> str:
        return f"{self.name} = {self.value!r}: {self.reason}"


# Fields with one meaning: the values they may have, and why.
_ONLY: dict[str, tuple[tuple[Any, ...], str]] = {
    "stop.cross_model": (("cross-base",), "the sim_header has one size; write 'cross-base'"),
    "stop.cache_dir": (
        (None,),
        "downloads are kept by the Hugging Face hub; leave it out and set the environment "
        "variable HF_HOME",
    ),
    "stop.freeze_clip": (
        (True,),
        "CLIP always stays as it is here; leave it out, or fine-tune a CLIP by "
        "`clipline train pos_neg`",
    ),
    "stop.temporal_prompt": (
        (_GROUP, _NONE),
        "'group2-2' has spatial and temporal prompts, 'none' has not",
    ),
    "stop.loss_type": (("CrossEn",), "the loss is the symmetric cross-entropy 'CrossEn'"),
    "training.optimizer": (("AdamW",), "the optimizer is 'AdamW'"),
    "training.scheduler": (("cosine",), "the schedule is 'cosine', after a linear warm-up"),
    "training.tempme_loss_weight": (
        (1.0,),
        "both parts share one loss; leave it out and set training.tempme_lr",
    ),
    "training.stop_loss_weight": (
        (1.0,),
        "both parts share one loss; leave it out and set training.stop_lr",
    ),
    "training.eval_every_n_epochs": ((1,), "val is measured after each epoch; write 1"),
}


def check(config: UnifiedModelConfig) -> None:
    """Refuse what cannot be meant; log what is doubtful.

    Raises:
        ConfigError: Names every refused field, why, and what to write instead.
        WeightsError: The CLIP's architecture is not at hand.
    """
    faults = [*_plain_faults(config), *_training_faults(config)]
    faults += _encoder_faults(config)
    if is_known(config.tempme.base_encoder):
        faults += _shape_faults(config, read_encoder(config.tempme.base_encoder))
    if faults:
        count = "1 field" if len(faults) == 1 else f"{len(faults)} fields"
        listed = "".join(f"\n  {fault};" for fault in faults)
        raise ConfigError(f"{count} of the configuration cannot be meant here:{listed}"[:-1] + ".")
    _warn(config)


def to_params(config: UnifiedModelConfig) -> tuple[TempMeStopConfig, ClipConfig]:
    """The section ``train.tempme_stop``, and the section of ``extract`` with its CLIP.

    Raises:
        ConfigError: A value is out of the range that the section allows.
    """
    tempme, stop, training = config.tempme, config.stop, config.training
    plain = TempMeStopModelConfig()
    prompts = stop.temporal_prompt == _GROUP
    across, within = tempme.merge_token_proportion
    section = override(
        TempMeStopConfig(),
        {
            "backbone": SECTION,
            "clips": config.max_frames,
            "merge_layer": tempme.merge_layer,
            "merge_frame_num": tempme.merge_frame_num,
            "merge_across": across,
            "merge_within": within,
            "tome_r": tempme.tome_r,
            "frame_pos": tempme.frame_pos,
            "lora_dim": tempme.lora_dim,
            "spatial_prompt": prompts,
            "temporal_prompts": plain.temporal_prompts if prompts else 0,
            "sim_header": stop.sim_header,
            "dataset": VideoTextConfig(
                kind=training.datatype, annotations=training.train_data_path or None
            ),
            "mode": training.training_mode,
            "tempme_lr": training.tempme_lr,
            "stop_lr": training.stop_lr,
            "weight_decay": float(training.weight_decay),
            "warmup_ratio": training.warmup_epochs / training.num_epochs,
            "epochs": training.num_epochs,
            "batch_size": training.batch_size,
            "accumulate": training.gradient_accumulation_steps,
            "save_every": training.save_every_n_epochs,
        },
    )
    return (
        _with_grad_norm(section, training.max_grad_norm),
        clip_of(tempme.base_encoder, stop.pretrained_dir),
    )


def _with_grad_norm(section: TempMeStopConfig, value: float | None) -> TempMeStopConfig:
    """``override`` takes null for unchanged, and here null is a value."""
    return dataclasses.replace(section, clip_grad_norm=value)


def _plain_faults(config: UnifiedModelConfig) -> Iterator[Fault]:
    for name, (allowed, reason) in _ONLY.items():
        value = _value(config, name)
        if value not in allowed:
            yield Fault(name, value, reason)
    headers = get_args(SimHeader)
    header = config.stop.sim_header
    if header not in headers:
        yield Fault("stop.sim_header", header, did_you_mean(header, headers))
    if config.stop.pre_visual_pooling and header == "tightTransf":
        yield Fault(
            "stop.pre_visual_pooling",
            True,
            "'tightTransf' compares texts with single clips; write false, or another sim_header",
        )
    modules = config.stop.new_added_modules
    if sorted(modules) != ["prompt", "temporal"]:
        yield Fault(
            "stop.new_added_modules",
            list(modules),
            "what learns with stop_lr are the prompts and what belongs to them; leave it out",
        )
    path = config.tempme.pretrained_path
    if path is not None and not Path(path).exists():
        yield Fault(
            "tempme.pretrained_path",
            path,
            "no such folder or file; leave it out, or name the folder of a trained model",
        )


def _training_faults(config: UnifiedModelConfig) -> Iterator[Fault]:
    training = config.training
    if training.datatype not in VIDEO_TEXT:
        yield Fault(
            "training.datatype", training.datatype, did_you_mean(training.datatype, VIDEO_TEXT)
        )
    if training.warmup_epochs >= training.num_epochs:
        yield Fault(
            "training.warmup_epochs",
            training.warmup_epochs,
            f"it has to be less than num_epochs ({training.num_epochs})",
        )
    if training.val_data_path not in ("", training.train_data_path):
        yield Fault(
            "training.val_data_path",
            training.val_data_path,
            "one folder of annotations holds all splits; leave it out",
        )


def _encoder_faults(config: UnifiedModelConfig) -> Iterator[Fault]:
    encoder, name = config.tempme.base_encoder, config.stop.pretrained_clip_name
    if encoder != name:
        yield Fault("stop.pretrained_clip_name", name, f"tempme.base_encoder is {encoder!r}")
    if not is_known(encoder):
        hint = f"{did_you_mean(encoder, CLIPS)} Or local-dir:FOLDER"
        yield Fault("tempme.base_encoder", encoder, hint)
        return
    folder = config.stop.pretrained_dir
    if folder is None:
        return
    if encoder not in CLIPS:
        yield Fault(
            "stop.pretrained_dir", folder, f"{encoder} brings its own weights; leave it out"
        )
    elif not (Path(folder) / CLIPS[encoder].file).is_file():
        yield Fault(
            "stop.pretrained_dir",
            folder,
            f"it holds no {CLIPS[encoder].file}; put it there, or leave this out to download it",
        )


def _shape_faults(config: UnifiedModelConfig, encoder: Encoder) -> Iterator[Fault]:
    """What the CLIP and the schedule of merging decide."""
    tempme = config.tempme
    if config.video_size != encoder.image_size:
        reason = f"{tempme.base_encoder} sees {encoder.image_size} pixels"
        yield Fault("video_size", config.video_size, f"{reason}; write {encoder.image_size}")
    if config.stop.freeze_layer_num not in (None, encoder.layers):
        reason = f"all {encoder.layers} blocks of CLIP stay as they are; leave it out"
        yield Fault("stop.freeze_layer_num", config.stop.freeze_layer_num, reason)
    model = TempMeStopModelConfig(
        clips=config.max_frames,
        merge_layer=tempme.merge_layer,
        merge_frame_num=tempme.merge_frame_num,
        merge_across=tempme.merge_token_proportion[0],
        merge_within=tempme.merge_token_proportion[1],
        tome_r=tempme.tome_r,
        frame_pos=tempme.frame_pos,
    )
    try:
        schedule, clips = resolve(model, encoder.layers)
    except ConfigError as error:
        name = "merge_frame_num" if "merge_frame_num = " in error.message else "merge_layer"
        refused = list(getattr(tempme, name))
        reason = f"{error.message.partition(f'{refused} ')[2]} {error.hint or ''}"
        yield Fault(f"tempme.{name}", refused, reason.strip().removesuffix("."))
        return
    frames = clips * schedule.joined
    plan = {row.layer: row for row in token_plan(schedule, frames, encoder.tokens, encoder.layers)}
    rows = [plan[layer] for layer in schedule.layers]
    for name, given, right in (
        ("frame_list", tempme.frame_list, (frames, *(row.clips for row in rows))),
        ("patch_list", tempme.patch_list, (encoder.tokens, *(row.tokens for row in rows))),
    ):
        if given is not None and given != right:
            reason = f"the CLIP and the merging give {list(right)}; write that, or leave it out"
            yield Fault(f"tempme.{name}", list(given), reason)


def _warn(config: UnifiedModelConfig) -> None:
    across, within = config.tempme.merge_token_proportion
    if within > _HEAVY:
        log.warning(
            "tempme.merge_token_proportion = [%g, %g] removes %g %% of the tokens inside a clip in "
            "each block from the first joining one on; TempMe's own is [0.3, 0.1].",
            across,
            within,
            100 * within,
        )
    threshold = config.similarity_threshold
    if threshold is not None and threshold > _HIGH_COSINE:
        log.warning(
            "similarity_threshold = %g: cosines between sentences and frames seldom exceed %g, so "
            "often nothing is found; null has no threshold.",
            threshold,
            _HIGH_COSINE,
        )
    if config.training.checkpoint_dir is not None:
        log.warning(
            "training.checkpoint_dir = %r has no effect: trained models go to "
            "data/models/tempme_stop, which the pipeline tracks.",
            config.training.checkpoint_dir,
        )


def _value(config: UnifiedModelConfig, name: str) -> Any:
    value: Any = config
    for part in name.split("."):
        value = getattr(value, part)
    return value

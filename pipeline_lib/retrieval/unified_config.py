"""The configuration of a unified TempMe-STOP model, as Python objects and as JSON.

Its fields are those of the published configuration files. Loading only parses; what each field
means here, and which values cannot be meant, :mod:`pipeline_lib.retrieval.unified_mapping` says.
Where the published default could never work it is ``None`` here, which lets the rest decide.
"""

import re
from collections.abc import Mapping
from dataclasses import field, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError
from pydantic.dataclasses import dataclass

from pipeline_lib.config.sections import STRICT, Cosine, Count, Natural, NonNegative, as_dict
from pipeline_lib.datasets.json_lines import JsonScanner, Lines, naming_line, read_json_text
from pipeline_lib.errors import ConfigError, did_you_mean
from pipeline_lib.storage.atomic import write_json

if TYPE_CHECKING:
    from pipeline_lib.config import ClipConfig, TempMeStopConfig

_TEXT_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n\r]*')
_HINT = "It is JSON with the sections tempme, stop and training, as UnifiedModelConfig writes it."


def _dashed(value: Any) -> Any:
    """``"2-2-3"`` as [2, 2, 3], and lists as tuples; anything else is left to the type."""
    if isinstance(value, str) and value.strip():
        try:
            return tuple(_number(part) for part in value.split("-"))
        except ValueError:
            return value
    return tuple(value) if isinstance(value, list) else value


def _number(text: str) -> int | float:
    return int(text) if text.strip().isdigit() else float(text)


def _shares(value: Any) -> Any:
    """Two shares; where one of them is above 1 both are per cent."""
    value = _dashed(value)
    if isinstance(value, tuple) and all(isinstance(part, int | float) for part in value):
        return tuple(part / 100 for part in value) if max(value, default=0) > 1 else value
    return value


def _switch(value: Any) -> Any:
    """0 and 1 as the published files write them."""
    return bool(value) if value in (0, 1) else value


Counts = Annotated[tuple[Count, ...], BeforeValidator(_dashed)]
Naturals = Annotated[tuple[Natural, ...], BeforeValidator(_dashed)]
Share = Annotated[float, Field(ge=0, lt=1)]
Shares = Annotated[tuple[Share, Share], BeforeValidator(_shares)]
Switch = Annotated[bool, BeforeValidator(_switch)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TempMeConfig:
    """The part that merges tokens and joins frames.

    Attributes:
        base_encoder: The CLIP: ``ViT-B/32``, ``ViT-B/16``, ``ViT-L/14``, ``ViT-L/14@336px``, or a
            model as ``extract.clip.model`` names it (``local-dir:folder``).
        pretrained_path: Folder of a trained model, or a checkpoint of TempMe; null is the
            project's own best model.
        lora_dim: Rank of the low-rank additions.
        tome_r: Tokens merged away in each block before the first joining one.
        merge_frame_num: How many neighbours are joined; ``[2, 2, 2]`` or ``"2-2-2"``.
        merge_layer: In which blocks, counted from 0.
        merge_token_proportion: Shares of the tokens that are removed when clips are joined, and
            in a clip in each block from there on; ``[0.3, 0.1]``, ``[30, 10]`` or ``"30-10"``.
        frame_list: Clips before the first and after each joining; null computes them.
        patch_list: Tokens of a frame, and of a clip after each joining block; null computes them.
        frame_pos: Learned frame positions where clips are joined.
    """

    base_encoder: str = "ViT-B/32"
    pretrained_path: str | None = None
    lora_dim: Natural = 8
    tome_r: Natural = 2
    merge_frame_num: Counts = (2, 2, 2)
    merge_layer: Naturals = (6, 8, 10)
    merge_token_proportion: Shares = (0.3, 0.7)
    frame_list: Counts | None = None
    patch_list: Counts | None = None
    frame_pos: Switch = True


@dataclass(frozen=True, kw_only=True, config=STRICT)
class STOPConfig:
    """The part with the prompts.

    Attributes:
        cross_model: The only one is ``cross-base``.
        pretrained_clip_name: The CLIP once more; the same as ``tempme.base_encoder``.
        pretrained_dir: Folder of CLIP's weights under their published names; null downloads them.
        cache_dir: Null; downloads go where the Hugging Face hub keeps them.
        freeze_clip: CLIP stays as it is; always true.
        freeze_layer_num: Null, or all its blocks.
        sim_header: How clips become one embedding.
        pre_visual_pooling: A video is one vector before texts are compared with it; that is so
            in any case but ``tightTransf``.
        temporal_prompt: ``group2-2`` has spatial and temporal prompts, ``none`` has not.
        new_added_modules: What learns with ``stop_lr``.
        loss_type: The only one is ``CrossEn``.
    """

    cross_model: str = "cross-base"
    pretrained_clip_name: str = "ViT-B/32"
    pretrained_dir: str | None = None
    cache_dir: str | None = None
    freeze_clip: bool = True
    freeze_layer_num: int | None = None
    sim_header: str = "meanP"
    pre_visual_pooling: bool = False
    temporal_prompt: str = "group2-2"
    new_added_modules: Annotated[tuple[str, ...], BeforeValidator(_dashed)] = ("prompt", "temporal")
    loss_type: str = "CrossEn"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainingConfig:
    """Training; has no part in embedding and retrieval.

    Attributes:
        training_mode: What learns.
        tempme_lr: Largest rate of the low-rank additions and frame positions.
        stop_lr: Largest rate of the prompts.
        warmup_epochs: Epochs in which the rates rise.
        optimizer: The only one is ``AdamW``.
        max_grad_norm: Longest gradient; null leaves it as it is.
        scheduler: The only one is ``cosine``.
        tempme_loss_weight: 1; there is one loss for both parts.
        stop_loss_weight: 1.
        save_every_n_epochs: Epochs between kept checkpoints; 0 keeps only best and final.
        eval_every_n_epochs: 1.
        checkpoint_dir: Null; checkpoints go where the pipeline tracks them.
        train_data_path: Folder of the annotations; empty is what the data set's format says.
        val_data_path: Empty, or the same folder.
        datatype: A format of text-video data sets.
    """

    training_mode: Literal["joint", "tempme_only", "stop_only", "sequential"] = "joint"
    tempme_lr: Rate = 1e-4
    stop_lr: Rate = 1e-5
    batch_size: Count = 8
    num_epochs: Count = 10
    warmup_epochs: NonNegative = 1
    optimizer: str = "AdamW"
    weight_decay: NonNegative = 0.01
    gradient_accumulation_steps: Count = 1
    max_grad_norm: Rate | None = 1.0
    scheduler: str = "cosine"
    tempme_loss_weight: float = 1.0
    stop_loss_weight: float = 1.0
    save_every_n_epochs: Natural = 2
    eval_every_n_epochs: Natural = 1
    checkpoint_dir: str | None = None
    train_data_path: str = ""
    val_data_path: str = ""
    datatype: str = "msrvtt"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class UnifiedModelConfig:
    """All of it.

    Attributes:
        tempme: Merging and joining.
        stop: Prompts.
        training: Training.
        device: Where the network runs; ``auto`` takes a GPU where there is one.
        max_frames: Clips that are left of a video. The network sees this many times the product
            of ``tempme.merge_frame_num`` frames.
        video_size: Pixels; the CLIP's own.
        video_fps: Frames of a second among which moments are looked for; null is 2. The embedding
            of a video takes frames at even distances, whatever its length.
        num_segments: Equal parts of the timeline, by which found moments are labelled.
        top_k: Moments that are looked for.
        similarity_threshold: Least score of a moment; null has none.
    """

    tempme: TempMeConfig = field(default_factory=TempMeConfig)
    stop: STOPConfig = field(default_factory=STOPConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    device: str = "auto"
    max_frames: Count = 12
    video_size: Count = 224
    video_fps: Rate | None = None
    num_segments: Count = 32
    top_k: Count = 5
    similarity_threshold: Cosine | None = None

    @classmethod
    def from_json(cls, path: Path | str) -> "UnifiedModelConfig":
        """Read a configuration; ``//`` comments are left out.

        Raises:
            DataError: The file is missing or not JSON.
            ConfigError: It holds an unknown key or a value of the wrong type.
        """
        return parse_config(read_config(Path(path)), str(path))

    def to_json(self, path: Path | str) -> None:
        """Write all fields; missing folders are made."""
        write_json(Path(path), as_dict(self))

    def check(self) -> None:
        """Refuse what cannot be meant here; doubtful values are only logged.

        Raises:
            ConfigError: Names every refused field, why, and what to write instead.
            WeightsError: The CLIP's architecture is not at hand.
        """
        from pipeline_lib.retrieval.unified_mapping import check

        check(self)

    def to_params(self) -> "tuple[TempMeStopConfig, ClipConfig]":
        """The same as ``train.tempme_stop`` and as a section of ``extract``."""
        from pipeline_lib.retrieval.unified_mapping import to_params

        return to_params(self)


def read_config(path: Path) -> Mapping[str, Any]:
    """The JSON object of a file, with ``//`` comments left out.

    Raises:
        ConfigError: It holds something else.
        DataError: It is missing or not JSON.
    """
    text = read_json_text(path, "configuration", _HINT)
    # Blanks in place of comments: an error still names the right line and column.
    bare = _TEXT_OR_COMMENT.sub(
        lambda found: found[0] if found[0].startswith('"') else " " * len(found[0]), text
    )
    with naming_line(path, Lines(bare)):
        scanner = JsonScanner(bare)
        content = scanner.value()
        scanner.end()
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: holds no JSON object.", hint=_HINT)
    return content


def parse_config(content: Mapping[str, Any], source: str) -> UnifiedModelConfig:
    """The configuration that a JSON object holds.

    Raises:
        ConfigError: An unknown key, or a value of the wrong type.
    """
    _refuse_unknown(content, UnifiedModelConfig, source, "")
    sections = {"tempme": TempMeConfig, "stop": STOPConfig, "training": TrainingConfig}
    try:
        parts = {name: kind(**content[name]) for name, kind in sections.items() if name in content}
        return UnifiedModelConfig(**{**content, **parts})
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        section = next((f"{n}." for n, k in sections.items() if k.__name__ == error.title), "")
        raise ConfigError(
            f"{source}: {section}{place} = {problem['input']!r}: {problem['msg']}."
        ) from None


def _refuse_unknown(content: Mapping[str, Any], kind: Any, source: str, prefix: str) -> None:
    known = {one.name: one for one in fields(kind)}
    for key, value in content.items():
        if key not in known:
            raise ConfigError(
                f"{source}: {prefix}{key} is not a field.", hint=did_you_mean(key, known)
            )
        if is_dataclass(known[key].type):
            if not isinstance(value, dict):
                raise ConfigError(f"{source}: {prefix}{key} is not an object.", hint=_HINT)
            _refuse_unknown(value, known[key].type, source, f"{key}.")

"""Checkpoints of TempMe (https://github.com/LunarShen/TempMe) and of STOP.

TempMe saves all of its network: CLIP under OpenAI's names, and what it adds, all below ``clip.``.
STOP (https://github.com/zhoujiahuan1991/CVPR2025-STOP) saves its CLIP below ``module.clip.``, with
prompts of a construction of its own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from pipeline_lib.backbones.weight_files import load_strictly, read_tensors
from pipeline_lib.errors import WeightsError
from pipeline_lib.networks.clip_shape import ClipShape
from pipeline_lib.networks.merge_schedule import MergeSchedule
from pipeline_lib.networks.tempme import ADDED, TempMe

_PREFIX = "clip."
_HEAD_WIDTH = 64  # of every CLIP that OpenAI published
# Numbers that OpenAI's files keep beside the tensors.
_NO_TENSORS = ("input_resolution", "context_length", "vocab_size")
_POSITION = re.compile(r"visual\.transformer\.resblocks\.(\d+)\.TVPt_Video_Positional_embedding")
_STOP_GLOBAL = "visual.prompt_embeddings"
_STOP_ONLY = re.compile(
    r"visual\.TemporalPrompt\.|visual\.prompt_embeddings$|visual\.position_ids$"
    r"|(visual\.)?transformer\.resblocks\.\d+\.LoRA\.|visual_prompt_embedding"
    r"|(prefix|postfix)_text_prompt|unified_prompt_|PromptTransformer\."
)


@dataclass(frozen=True)
class TempMeTensors:
    """The tensors of a TempMe checkpoint.

    Attributes:
        path: The file.
        tensors: By OpenAI's and TempMe's names, without prefix.
        shape: Of its CLIP.
        lora_dim: Rank of the low-rank additions.
        positions: Clips of a video before each block that has frame positions, by block.
    """

    path: Path
    tensors: dict[str, Tensor]
    shape: ClipShape
    lora_dim: int
    positions: dict[int, int]


@dataclass(frozen=True)
class StopTensors:
    """What of a STOP checkpoint has a counterpart in TempMe-STOP.

    Attributes:
        clip: CLIP's tensors by OpenAI's names.
        global_prompts: [prompts, d]: tokens that see the whole video; ``None`` if it has none.
        unmapped: Names of tensors without a counterpart: pixel prompts, prompts a block, adapters.
    """

    clip: dict[str, Tensor]
    global_prompts: Tensor | None
    unmapped: tuple[str, ...]


def read_tempme(path: Path) -> TempMeTensors:
    """Read a TempMe checkpoint: ``.pth`` or ``.safetensors``.

    Raises:
        WeightsError: Unreadable, or of something else.
    """
    tensors = _clip_tensors(path)
    if any(_STOP_ONLY.match(name) for name in tensors):
        raise WeightsError(
            f"{path}: is a checkpoint of STOP, not of TempMe.",
            hint="Only its CLIP, which is OpenAI's, and its global prompts have a counterpart here "
            "(read_stop of this module reads them); its prompts on pixels and in each block, and "
            "its adapters, have none. Leave it out and train: `clipline train tempme_stop`.",
        )
    if not any(ADDED in name for name in tensors):
        raise WeightsError(
            f"{path}: holds a CLIP without TempMe's additions (no tensor has {ADDED!r} in its "
            "name).",
            hint="Give TempMe's best.pth; a plain CLIP belongs into extract.<backbone>.weights.",
        )
    ranks = [len(value) for name, value in tensors.items() if name.endswith("TVPt_LoRA_a")]
    found = ((_POSITION.fullmatch(name), value) for name, value in tensors.items())
    positions = {int(match[1]): value.shape[1] for match, value in found if match}
    return TempMeTensors(
        path=path,
        tensors=tensors,
        shape=_shape(tensors, path),
        lora_dim=max(ranks, default=0),
        positions=dict(sorted(positions.items())),
    )


def load_tempme(path: Path, schedule: MergeSchedule, frames: int) -> TempMe:
    """Load a TempMe checkpoint, strictly.

    Args:
        path: Of the ``.pth`` or ``.safetensors`` file.
        schedule: It was trained with; only where frame positions stand is in the file. Without
            any in the file, ``frame_pos`` is off.
        frames: Of a video.

    Returns:
        The network, frozen, in eval mode, fp32 on the CPU.

    Raises:
        WeightsError: Unreadable, of something else, or a tensor is missing, unexpected or of
            another shape.
    """
    read = read_tempme(path)
    network = TempMe(read.shape, schedule, frames, read.lora_dim)
    whole = nn.Module()
    whole.clip = network
    named = {_PREFIX + name: value.float() for name, value in read.tensors.items()}
    load_strictly(whole, named, path)
    return network


def read_stop(path: Path) -> StopTensors:
    """Read what TempMe-STOP can take over from a STOP checkpoint.

    Raises:
        WeightsError: Unreadable, or of something else.
    """
    tensors = _clip_tensors(path)
    own = {name: value for name, value in tensors.items() if _STOP_ONLY.match(name)}
    if not own:
        raise WeightsError(f"{path}: is no checkpoint of STOP: it has none of its prompts.")
    clip = {name: value for name, value in tensors.items() if name not in own}
    _shape(clip, path)
    prompts = own.pop(_STOP_GLOBAL, None)
    if prompts is not None:
        prompts = prompts.reshape(-1, prompts.shape[-1])
    return StopTensors(clip, prompts, tuple(sorted(own)))


def _clip_tensors(path: Path) -> dict[str, Tensor]:
    tensors = read_tensors(path)
    if not any(name.startswith(_PREFIX) for name in tensors):
        raise WeightsError(
            f"{path}: no tensor's name begins with {_PREFIX!r}.",
            hint="Checkpoints of TempMe and STOP have all of CLIP there.",
        )
    return {
        name.removeprefix(_PREFIX): value
        for name, value in tensors.items()
        if name.removeprefix(_PREFIX) not in _NO_TENSORS
    }


def _shape(tensors: Mapping[str, Tensor], path: Path) -> ClipShape:
    def size(name: str, axis: int) -> int:
        if name not in tensors:
            raise WeightsError(
                f"{path}: tensor {_PREFIX}{name} is missing.", hint="Copy or download it again."
            )
        return tensors[name].shape[axis]

    def blocks(prefix: str) -> int:
        found = (re.match(rf"{prefix}\.resblocks\.(\d+)\.", name) for name in tensors)
        return 1 + max((int(match[1]) for match in found if match), default=0)

    patch, width = size("visual.conv1.weight", -1), size("visual.conv1.weight", 0)
    text_width = size("ln_final.weight", 0)
    first = "transformer.resblocks.0.mlp.c_fc.weight"
    return ClipShape(
        embed_dim=size("visual.proj", 1),
        image_size=patch * round((size("visual.positional_embedding", 0) - 1) ** 0.5),
        patch_size=patch,
        vision_width=width,
        vision_layers=blocks(r"visual\.transformer"),
        vision_heads=max(1, width // _HEAD_WIDTH),
        vision_hidden=size(f"visual.{first}", 0),
        context_length=size("positional_embedding", 0),
        vocab_size=size("token_embedding.weight", 0),
        text_width=text_width,
        text_layers=blocks("transformer"),
        text_heads=max(1, text_width // _HEAD_WIDTH),
        text_hidden=size(first, 0),
        quick_gelu=True,
    )

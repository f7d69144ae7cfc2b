"""Where neighbouring clips are joined and how many tokens are merged away in each block."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

from pipeline_lib.config.retrieval import TempMeStopModelConfig
from pipeline_lib.errors import ConfigError, did_you_mean

# Blocks of the networks that the layers of the presets are counted in.
_PRESET_DEPTH = 12


class Step(NamedTuple):
    """What one block does to the tokens.

    Attributes:
        joined: Neighbouring clips that become one before the block; 1 joins none.
        across: Tokens that are merged away when clips are joined.
        within: Tokens that are merged away between the attention and the MLP.
    """

    joined: int
    across: int
    within: int


class Row(NamedTuple):
    """A video's tokens behind a block.

    Attributes:
        layer: The block, counted from 0.
        clips: Clips of the video.
        tokens: Tokens of a clip.
        class_tokens: How many of them are class tokens.
    """

    layer: int
    clips: int
    tokens: int
    class_tokens: int


@dataclass(frozen=True)
class MergeSchedule:
    """How a video's tokens become fewer from block to block, after TempMe.

    Attributes:
        tome_r: Tokens merged away in each block before the first joining one.
        layers: Blocks, counted from 0, before which clips are joined; ascending.
        frame_nums: How many neighbouring clips are joined there.
        across: Share of the tokens that is merged away when clips are joined.
        within: Share of the tokens merged away in each block from the first joining one on.
        frame_pos: Learned frame positions where clips are joined.
    """

    tome_r: int
    layers: tuple[int, ...]
    frame_nums: tuple[int, ...]
    across: float
    within: float
    frame_pos: bool = True

    @property
    def joined(self) -> int:
        """Frames of a clip when all are joined."""
        return prod(self.frame_nums)

    def step(self, layer: int, tokens: int, class_tokens: int) -> Step:
        """What block ``layer`` does to clips of ``tokens``, ``class_tokens`` of them in front."""
        if not self.layers or layer < self.layers[0]:
            return Step(1, 0, min(self.tome_r, (tokens - class_tokens) // 2))
        joined = dict(zip(self.layers, self.frame_nums, strict=True)).get(layer, 1)
        tokens, patches = tokens * joined, (tokens - class_tokens) * joined
        # Clips that stay alone are merged within only.
        across = min(int(tokens * self.across), patches // 2) if joined > 1 else 0
        tokens, patches = tokens - across, patches - across
        return Step(joined, across, min(int(tokens * self.within), patches // 2))

    def clips_before(self, frames: int) -> dict[int, int]:
        """The clips of a video of ``frames`` before each joining block."""
        return {
            layer: frames // prod(self.frame_nums[:number])
            for number, layer in enumerate(self.layers)
        }


class Preset(NamedTuple):
    """A schedule for 12 blocks, and how many clips a video has behind it."""

    schedule: MergeSchedule
    clips: int


PRESETS: Mapping[str, Preset] = {
    "unified": Preset(MergeSchedule(2, (4, 6), (2, 2), 0.30, 0.10), 12),
    "paper-defaults": Preset(MergeSchedule(2, (8, 9, 10), (2, 2, 3), 0.30, 0.10), 1),
    # By benchmarks/token_merging.py: late joins change the embedding least, so the frames' own
    # tokens are merged faster instead.
    "fast": Preset(MergeSchedule(5, (5, 7), (2, 2), 0.30, 0.10), 12),
    "none": Preset(MergeSchedule(0, (), (), 0.0, 0.0), 12),
}


def resolve(config: TempMeStopModelConfig, depth: int) -> tuple[MergeSchedule, int]:
    """The schedule of ``config`` and the clips of a video behind it.

    The layers of a preset keep their share of the depth.

    Args:
        config: A null field takes the preset's value.
        depth: Blocks of the image tower.

    Raises:
        ConfigError: No such preset, or a field that cannot be.
    """
    if config.merging not in PRESETS:
        raise _wrong(
            "merging", config.merging, "is no preset", did_you_mean(config.merging, PRESETS)
        )
    preset, clips = PRESETS[config.merging]
    given = {
        "tome_r": config.tome_r,
        "layers": config.merge_layer,
        "frame_nums": config.merge_frame_num,
        "across": config.merge_across,
        "within": config.merge_within,
    }
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if "layers" not in chosen:
        chosen["layers"] = _scaled(config.merging, preset.layers, depth)
    schedule = replace(preset, **chosen, frame_pos=config.frame_pos)
    _check(schedule, depth)
    return schedule, config.clips or clips


def token_plan(
    schedule: MergeSchedule, frames: int, tokens_per_frame: int, depth: int
) -> tuple[Row, ...]:
    """The tokens behind each of ``depth`` blocks, of a video of ``frames``."""
    rows: list[Row] = []
    clips, tokens, class_tokens = frames, tokens_per_frame, 1
    for layer in range(depth):
        step = schedule.step(layer, tokens, class_tokens)
        clips //= step.joined
        tokens = tokens * step.joined - step.across - step.within
        class_tokens *= step.joined
        rows.append(Row(layer, clips, tokens, class_tokens))
    return tuple(rows)


def _scaled(name: str, layers: tuple[int, ...], depth: int) -> tuple[int, ...]:
    scaled = tuple(layer * depth // _PRESET_DEPTH for layer in layers)
    if len(set(scaled)) < len(scaled):
        raise _wrong(
            "merging", name, f"does not fit an image tower of {depth} blocks",
            "Set merge_layer and merge_frame_num, such as [1] and [2], or merging: none.",
        )  # fmt: skip
    return scaled


def _check(schedule: MergeSchedule, depth: int) -> None:
    layers, nums = schedule.layers, schedule.frame_nums
    if len(layers) != len(nums):
        raise _wrong(
            "merge_frame_num", list(nums),
            f"has not one number for each of merge_layer {list(layers)}",
            f"Give {len(layers)} numbers, such as {[2] * len(layers)}.",
        )  # fmt: skip
    if any(layer >= depth for layer in layers):
        raise _wrong(
            "merge_layer", list(layers), f"goes beyond the {depth} blocks of the image tower",
            f"Blocks are counted from 0: the last one is {depth - 1}.",
        )  # fmt: skip
    if any(second <= first for first, second in pairwise(layers)):
        raise _wrong(
            "merge_layer", list(layers), "does not ascend",
            f"Give each block once and in order, such as {sorted(set(layers))}, with as many "
            "numbers in merge_frame_num.",
        )  # fmt: skip


def _wrong(field: str, value: object, what: str, hint: str) -> ConfigError:
    return ConfigError(f"train.tempme_stop.{field} = {value!r} {what}.", hint=hint)

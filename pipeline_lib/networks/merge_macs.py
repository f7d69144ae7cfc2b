"""Multiply-adds of CLIP's image tower under a merge schedule, in closed form."""

from typing import NamedTuple

from pipeline_lib.networks.clip_shape import ClipShape
from pipeline_lib.networks.merge_schedule import MergeSchedule


class Macs(NamedTuple):
    """Multiply-adds of one video, by what they are for.

    Attributes:
        patches: Cutting frames into tokens.
        linear: The projections and MLPs of the blocks.
        attention: Scores and their use.
        lora: The low-rank additions where they are not folded into the weights.
        matching: Finding similar tokens.
        projection: Class tokens to embeddings.
    """

    patches: int
    linear: int
    attention: int
    lora: int
    matching: int
    projection: int

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self)


def macs(
    shape: ClipShape,
    schedule: MergeSchedule,
    frames: int,
    *,
    lora_dim: int = 0,
    class_only: bool = False,
) -> Macs:
    """Count the multiply-adds of the image tower for one video.

    Args:
        shape: Of the CLIP.
        schedule: Of joining and merging.
        frames: N, frames of the video.
        lora_dim: Rank of low-rank additions that are computed apart, as in training; 0 where they
            are folded.
        class_only: The last block computes what its class tokens need, as
            :meth:`MergeTower.encode` does, instead of all tokens.
    """
    width, hidden, depth = shape.vision_width, shape.vision_hidden, shape.vision_layers
    linear = attention = lora = matching = 0
    clips, tokens, class_tokens = frames, shape.tokens, 1
    for layer in range(depth):
        step = schedule.step(layer, tokens, class_tokens)
        clips //= step.joined
        tokens, class_tokens = tokens * step.joined, class_tokens * step.joined
        matching += clips * _pairs(tokens - class_tokens) * width * (step.across > 0)
        tokens -= step.across
        short = class_only and layer == depth - 1
        asking = class_tokens if short else tokens
        linear += clips * width**2 * (2 * tokens + 2 * asking)
        attention += 2 * clips * asking * tokens * width
        # Where fewer tokens ask, queries go through the down-projection apart.
        lora += clips * lora_dim * width * (3 * tokens + (2 * asking if short else tokens))
        if step.within and not short:
            patches = tokens - class_tokens
            head = width // shape.vision_heads
            matching += clips * _pairs(patches) * head
            tokens -= step.within
        linear += clips * 2 * width * hidden * (class_tokens if short else tokens)
    return Macs(
        patches=frames * shape.grid**2 * 3 * shape.patch_size**2 * width,
        linear=linear,
        attention=attention,
        lora=lora,
        matching=matching,
        projection=frames * width * shape.embed_dim,
    )


def _pairs(patches: int) -> int:
    """Scores between the two sets of patches, one of which may be larger by one."""
    return (patches // 2) * (patches - patches // 2)

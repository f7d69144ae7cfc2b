"""CLIP's image tower over videos, whose blocks join clips and merge tokens.

A video's frames are clips of one frame each; joining blocks make longer clips of neighbouring
ones. Clips of all videos stand below each other, those of one video in temporal order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from pipeline_lib.networks.clip_shape import ClipShape
from pipeline_lib.networks.clip_towers import ResidualBlock, Transformer
from pipeline_lib.networks.merge_schedule import MergeSchedule, Step
from pipeline_lib.networks.onednn_linear import applies, linear
from pipeline_lib.networks.token_merge import merge_tokens


@dataclass(frozen=True)
class Clips:
    """Tokens of clips.

    Attributes:
        tokens: [clips, n, d]: the class tokens of the clip's frames in temporal order, then
            patches.
        size: [clips, n, 1], fp32: patches (or class tokens) that a token stands for; ``None``
            where each is one.
        class_tokens: Class tokens of a clip, one a frame.
    """

    tokens: Tensor
    size: Tensor | None
    class_tokens: int

    @property
    def key_bias(self) -> Tensor | None:
        """Log sizes [clips, 1, 1, n] for the scores of attention: a token counts as what it is."""
        return None if self.size is None else self.size.log().transpose(1, 2).unsqueeze(1)


class MergeBlock(ResidualBlock):
    """A block that joins clips before its attention and merges tokens before its MLP.

    Args:
        shape: Of the CLIP.
        rank: Of the low-rank addition to the attention.
        clips: Clips of a video before the block, for which it learns positions; 0 learns none.
    """

    def __init__(self, shape: ClipShape, rank: int, clips: int) -> None:
        width = shape.vision_width
        super().__init__(width, shape.vision_heads, shape.vision_hidden, shape.quick_gelu, rank)
        self.TVPt_Video_Positional_embedding = (
            nn.Parameter(torch.zeros(1, clips, 1, width)) if clips else None
        )

    def join(self, clips: Clips, step: Step) -> Clips:
        """Join each ``step.joined`` neighbours and merge ``step.across`` tokens between them."""
        if step.joined == 1:
            return clips
        class_tokens = clips.class_tokens * step.joined
        x = _joined(clips.tokens, step.joined, clips.class_tokens)
        size = clips.size
        if size is not None:
            size = _joined(size, step.joined, clips.class_tokens)
        if step.across:
            # Tokens are matched as they came, and carry their frame's position from here on.
            placed = x
            if self.TVPt_Video_Positional_embedding is not None:
                placed = _joined(self._placed(clips.tokens), step.joined, clips.class_tokens)
            x, size = merge_tokens(placed, x, size, step.across, class_tokens)
        return Clips(x, size, class_tokens)

    def _placed(self, x: Tensor) -> Tensor:
        position = self.TVPt_Video_Positional_embedding
        if position is None:
            return x
        return (x.unflatten(0, (-1, position.shape[1])) + position).flatten(0, 1)

    def merge(self, clips: Clips, keys: Tensor, merged: int) -> Clips:
        """Merge tokens with similar keys [clips, heads, n, d / heads] within each clip."""
        if not merged:
            return clips
        x, size = merge_tokens(
            clips.tokens, keys.mean(dim=1), clips.size, merged, clips.class_tokens
        )
        return Clips(x, size, clips.class_tokens)

    def run(self, clips: Clips, step: Step) -> Clips:
        """The whole block."""
        clips = self.join(clips, step)
        q, k, v = self.project(clips.tokens)
        x = clips.tokens + self.attn(q, k, v, clips.key_bias)
        clips = self.merge(Clips(x, clips.size, clips.class_tokens), k, step.within)
        return Clips(self.feed(clips.tokens), clips.size, clips.class_tokens)

    def finish(self, clips: Clips, step: Step) -> Tensor:
        """The class tokens [clips, class tokens, d] behind the block, nothing else computed."""
        clips = self.join(clips, step)
        q, k, v = self.project(clips.tokens, clips.class_tokens)
        x = clips.tokens[:, : clips.class_tokens]
        return self.feed(x + self.attn(q, k, v, clips.key_bias))


class MergeTower(nn.Module):
    """The image tower.

    Args:
        shape: Of the CLIP.
        schedule: Of joining and merging.
        frames: Frames of a video, for which frame positions are learned.
        rank: Of the low-rank additions.
    """

    def __init__(self, shape: ClipShape, schedule: MergeSchedule, frames: int, rank: int) -> None:
        super().__init__()
        self.schedule = schedule
        width = shape.vision_width
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.positional_embedding = nn.Parameter(torch.zeros(shape.tokens, width))
        self.proj = nn.Parameter(torch.zeros(width, shape.embed_dim))
        self.conv1 = nn.Conv2d(3, width, shape.patch_size, shape.patch_size, bias=False)
        self.ln_pre = nn.LayerNorm(width)
        learned: Mapping[int, int] = schedule.clips_before(frames) if schedule.frame_pos else {}
        self.transformer = Transformer(
            [MergeBlock(shape, rank, learned.get(i, 0)) for i in range(shape.vision_layers)]
        )
        self.ln_post = nn.LayerNorm(width)

    def embed(self, pixels: Tensor) -> Clips:
        """Frames [M, 3, S, S] as clips of one frame each, before the first block."""
        patches = self._patches(pixels)
        first = self.class_embedding.to(patches.dtype).expand(len(patches), 1, -1)
        x = torch.cat([first, patches], dim=1) + self.positional_embedding.to(patches.dtype)
        return Clips(self.ln_pre(x), None, 1)

    def _patches(self, pixels: Tensor) -> Tensor:
        side = self.conv1.kernel_size[0]
        if not applies(pixels):
            return self.conv1(pixels).flatten(2).transpose(1, 2)
        whole = pixels.shape[-1] // side * side  # as the convolution, nothing of a part of a patch
        cut = pixels[..., :whole, :whole].unflatten(-1, (-1, side)).unflatten(-3, (-1, side))
        cut = cut.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
        return linear(cut, self.conv1.weight.flatten(1), None)

    def run(self, clips: Clips, first: int, last: int) -> Clips:
        """Blocks ``first`` to ``last``, the latter not included."""
        for layer in range(first, last):
            clips = self._block(layer).run(clips, self._step(layer, clips))
        return clips

    def encode(self, pixels: Tensor) -> Tensor:
        """Embeddings [clips, class tokens, D] of frames [M, 3, S, S], not normalised."""
        last = len(self.transformer.resblocks) - 1
        clips = self.run(self.embed(pixels), 0, last)
        return self.project(self._block(last).finish(clips, self._step(last, clips)))

    def project(self, tokens: Tensor) -> Tensor:
        """Tokens [..., d] behind the last block as embeddings [..., D], not normalised."""
        read: Tensor = self.ln_post(tokens) @ self.proj
        return read

    def _block(self, layer: int) -> MergeBlock:
        block = self.transformer.resblocks[layer]
        return cast(MergeBlock, block)

    def _step(self, layer: int, clips: Clips) -> Step:
        return self.schedule.step(layer, clips.tokens.shape[1], clips.class_tokens)


def _joined(x: Tensor, clips: int, class_tokens: int) -> Tensor:
    x = x.unflatten(0, (-1, clips))
    parts = (x[:, :, :class_tokens], x[:, :, class_tokens:])
    return torch.cat([part.flatten(1, 2) for part in parts], dim=1)

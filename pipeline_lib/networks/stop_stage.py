"""The last blocks of the image tower, in which a video's clips see prompts."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pipeline_lib.networks.merge_tower import Clips, MergeBlock
from pipeline_lib.networks.temporal_prompt import TemporalPrompts, seen_by_clips, seen_weights


class _Prompts(NamedTuple):
    """Prompts of B videos in one block.

    Attributes:
        between: [B, (C - 1) n, d]; empty without such prompts.
        whole: [B, G, d]; empty without such prompts.
        weights: For what clips see, as ``seen_weights`` gives them.
        gate: [heads].
    """

    between: Tensor
    whole: Tensor
    weights: Tensor | None
    gate: Tensor


class StopStage(nn.Module):
    """Blocks whose clips see prompts between neighbours and of the whole video.

    The prompts of the whole video see all its clips in return and go through the blocks like
    class tokens. The gates, one a head and block, start at 0, where clips are as without prompts,
    bit for bit. What a query reads from prompts is a softmax of its own, as in LLaMA-Adapter
    (https://arxiv.org/abs/2303.16199): prompts in the clip's own softmax would take a share of it
    however their values are scaled, removing them by a bias of -infinity leaves the gate no
    gradient, and mixing the results with and without them computes all scores twice.

    Args:
        width: Size d of a token.
        heads: Of the blocks' attention.
        blocks: How many blocks.
        between: Prompts between two neighbouring clips.
        whole: Prompts of the whole video.
    """

    def __init__(self, width: int, heads: int, blocks: int, between: int, whole: int) -> None:
        super().__init__()
        self.recompute = False
        self.prompts = TemporalPrompts(width, between, whole)
        self.gate = nn.Parameter(torch.zeros(blocks, heads))

    def reset_parameters(self, stream: torch.Generator) -> None:
        """Start anew, with the random numbers of ``stream``."""
        self.prompts.reset_parameters(stream)
        nn.init.zeros_(self.gate)

    def forward(
        self, blocks: Sequence[MergeBlock], merged: Sequence[int], clips: Clips, videos: int
    ) -> tuple[Tensor, Tensor | None]:
        """Run clips through all blocks.

        Args:
            blocks: Frozen.
            merged: Tokens merged away in each clip and block.
            clips: Of all videos.
            videos: B.

        Returns:
            Class tokens [B * C, k, d] and, where there are such, prompts of the whole video
            [B, G, d], both behind the last block.
        """
        size = None if clips.size is None else clips.size.unflatten(0, (videos, -1))
        x = clips.tokens.unflatten(0, (videos, -1))
        made = self.prompts(x, size, clips.class_tokens)
        none = x[:, 0, :0]
        between = none if made.between is None else made.between.flatten(1, 2)
        whole = none if made.whole is None else made.whole
        weights = seen_weights(made, x.shape[1])
        for number, (block, count) in enumerate(zip(blocks, merged, strict=True)):
            last = number == len(blocks) - 1
            prompts = _Prompts(between, whole, weights, self.gate[number])
            arguments = (block, clips, prompts, None if last else count)
            if self.recompute and torch.is_grad_enabled():
                clips, whole = checkpoint(_run, *arguments, use_reentrant=False)
            else:
                clips, whole = _run(*arguments)
        return clips.tokens, None if made.whole is None else whole


def _run(
    block: MergeBlock, clips: Clips, prompts: _Prompts, merged: int | None
) -> tuple[Clips, Tensor]:
    """One block; where ``merged`` is ``None`` the last one, of which class tokens alone are read.

    Returns:
        The clips, and the prompts of the whole video [B, G, d].
    """
    asking = clips.class_tokens if merged is None else None
    bias = clips.key_bias
    q, k, v = block.project(clips.tokens, asking)
    further = torch.cat([prompts.between, prompts.whole], dim=1)
    further_q, further_k, further_v = block.project(further)
    x = clips.tokens[:, :asking]
    seen_k, seen_v = (_seen(part, prompts, len(x)) for part in (further_k, further_v))
    read = _attend(q, k, v, bias)
    if seen_k.shape[2]:
        weights = None if prompts.weights is None else prompts.weights.flatten(0, 1)
        read = read + prompts.gate[:, None, None] * _attend(q, seen_k, seen_v, weights)
    clips = Clips(x + _joined_heads(block, read), clips.size, clips.class_tokens)
    whole = prompts.whole
    if whole.shape[1]:
        own = slice(further.shape[1] - whole.shape[1], None)
        query, key, value = (part[:, :, own] for part in (further_q, further_k, further_v))
        keys, values = _of_all(k, key), _of_all(v, value)
        read = _attend(query, keys, values, _bias_of_all(bias, len(whole), whole.shape[1]))
        whole = block.feed(whole + _joined_heads(block, read))
    if merged is not None:
        clips = block.merge(clips, k, merged)
    return Clips(block.feed(clips.tokens), clips.size, clips.class_tokens), whole


def _attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    if bias is not None:
        bias = bias.to(q.dtype)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)


def _joined_heads(block: MergeBlock, read: Tensor) -> Tensor:
    out: Tensor = block.attn.out_proj(read.transpose(1, 2).flatten(2))
    return out


def _seen(part: Tensor, prompts: _Prompts, rows: int) -> Tensor:
    """Of the prompts' keys or values [B, heads, E, d / heads] those of each clip [B * C, …]."""
    videos, clips = len(part), rows // len(part)
    split = (prompts.between.shape[1], prompts.whole.shape[1])
    between, whole = part.transpose(1, 2).split(split, dim=1)
    return seen_by_clips(
        between.unflatten(1, (clips - 1, -1)) if split[0] else None,
        whole.unsqueeze(1).expand(videos, clips, -1, -1, -1),
    ).flatten(0, 1)


def _of_all(part: Tensor, own: Tensor) -> Tensor:
    """Keys or values of all clips of a video, and of the prompts themselves behind them.

    Args:
        part: [B * C, heads, L, d / heads].
        own: [B, heads, G, d / heads].
    """
    videos = part.unflatten(0, (len(own), -1)).transpose(1, 2).flatten(2, 3)
    return torch.cat([videos, own], dim=2)


def _bias_of_all(bias: Tensor | None, videos: int, whole: int) -> Tensor | None:
    """``bias`` [B * C, 1, 1, L] for the keys of :func:`_of_all`."""
    if bias is None:
        return None
    return F.pad(bias.reshape(videos, 1, 1, -1), (0, whole))

"""Prompts that tie the clips of a video together: between neighbours, and for the whole video.

After STOP, https://arxiv.org/abs/2503.15973: prompts are placed where a video changes. Frozen
blocks read them as further keys and values.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Added to each distance between neighbours, so that a still video's prompts weigh the same.
_EPS = 1e-3
_OFFSET_STD = 0.1


class ClipPrompts(NamedTuple):
    """What the clips of B videos see beside their own tokens.

    Attributes:
        between: [B, C - 1, n, d], of neighbouring clips; ``None`` without such prompts.
        weight: fp32 [B, C - 1], with mean 1 in each video: how much they are seen.
        whole: [B, G, d], of the whole video; ``None`` without such prompts.
    """

    between: Tensor | None
    weight: Tensor | None
    whole: Tensor | None


class NeighbourPrompts(nn.Module):
    """Makes prompts from the means of two neighbouring clips.

    Args:
        width: Size d of a token.
        prompts: How many, n, between two clips.
    """

    def __init__(self, width: int, prompts: int) -> None:
        super().__init__()
        self.prompts = prompts
        hidden = max(16, width // 8)
        self.norm = nn.LayerNorm(width)
        self.narrow = nn.Linear(2 * width, hidden)
        self.widen = nn.Linear(hidden, prompts * width)

    def reset_parameters(self, stream: torch.Generator) -> None:
        """Start anew, with the random numbers of ``stream``."""
        self.norm.reset_parameters()
        for layer in (self.narrow, self.widen):
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5, generator=stream)
            nn.init.zeros_(layer.bias)

    def forward(self, means: Tensor) -> Tensor:
        """Prompts [B, C - 1, n, d] of clips' means [B, C, d]."""
        left, right = means[:, :-1], means[:, 1:]
        both = torch.cat([self.norm(left), self.norm(right)], dim=-1)
        learned = self.widen(F.gelu(self.narrow(both)))
        return (left + right).unsqueeze(2) / 2 + learned.unflatten(-1, (self.prompts, -1))


class TemporalPrompts(nn.Module):
    """Makes the prompts of a video from its clips' tokens.

    Both kinds start from means of the video's own tokens: the blocks that read them are frozen
    and know such vectors, where free ones would have to learn what a token looks like first.

    Args:
        width: Size d of a token.
        between: Prompts n between two neighbouring clips; 0 has none.
        whole: Prompts G of the whole video; 0 has none.
    """

    def __init__(self, width: int, between: int, whole: int) -> None:
        super().__init__()
        self.whole = nn.Parameter(torch.zeros(whole, width)) if whole else None
        self.between = NeighbourPrompts(width, between) if between else None

    def reset_parameters(self, stream: torch.Generator) -> None:
        """Start anew, with the random numbers of ``stream``."""
        if self.between is not None:
            self.between.reset_parameters(stream)
        if self.whole is not None:
            nn.init.normal_(self.whole, std=_OFFSET_STD, generator=stream)

    def forward(self, x: Tensor, size: Tensor | None, class_tokens: int) -> ClipPrompts:
        """The prompts of videos.

        Args:
            x: Tokens [B, C, L, d], class tokens first.
            size: How many original tokens each stands for, [B, C, L, 1]; ``None`` where each is
                one.
            class_tokens: Of each clip.
        """
        between = weight = whole = None
        if self.whole is not None:
            whole = x[:, :, :class_tokens].mean(dim=(1, 2)).unsqueeze(1) + self.whole
        if self.between is not None:
            means = _mean(
                x[:, :, class_tokens:], None if size is None else size[:, :, class_tokens:]
            )
            weight = _change_between(means)
            between = self.between(means)
        return ClipPrompts(between, weight, whole)


def _mean(patches: Tensor, counts: Tensor | None) -> Tensor:
    """The mean of what was merged into patches [B, C, P, d], [B, C, d]."""
    if counts is None:
        return patches.mean(2)
    return (patches * counts).sum(2) / counts.sum(2)


def _change_between(means: Tensor) -> Tensor:
    """How much a video changes from each clip to the next: 1 - cosine, fp32 [B, C - 1], mean 1."""
    with torch.no_grad(), torch.autocast(means.device.type, enabled=False):
        unit = F.normalize(means.float(), dim=-1)
        change = (1 - (unit[:, 1:] * unit[:, :-1]).sum(-1)).clamp_(min=0) + _EPS
        return change / change.mean(dim=1, keepdim=True)


def seen_by_clips(between: Tensor | None, whole: Tensor | None) -> Tensor:
    """Keys, or values, of the prompts that each clip sees.

    Args:
        between: [B, C - 1, n, heads, d / heads].
        whole: [B, C, G, heads, d / heads].

    Returns:
        [B, C, heads, m, d / heads]: n before the clip, n behind it and G of the whole video, the
        first and last clip with zeros where they have no neighbour.
    """
    parts = []
    if between is not None:
        padded = F.pad(between, (0, 0, 0, 0, 0, 0, 1, 1))
        parts = [padded[:, :-1], padded[:, 1:]]
    if whole is not None:
        parts.append(whole)
    return torch.cat(parts, dim=2).transpose(2, 3)


def seen_weights(prompts: ClipPrompts, clips: int) -> Tensor | None:
    """Logarithms of the weights of what :func:`seen_by_clips` gives, fp32 [B, C, 1, 1, m].

    A prompt of weight w counts like w equal ones; one that is not there has -infinity.
    ``None`` where all weights are 1.
    """
    if prompts.between is None or prompts.weight is None:
        return None
    logs = F.pad(prompts.weight.log(), (1, 1), value=-torch.inf).unsqueeze(-1)
    logs = logs.expand(-1, -1, prompts.between.shape[2])
    parts = [logs[:, :-1], logs[:, 1:]]
    if prompts.whole is not None:
        parts.append(logs.new_zeros(len(logs), clips, prompts.whole.shape[1]))
    return torch.cat(parts, dim=-1)[:, :, None, None]

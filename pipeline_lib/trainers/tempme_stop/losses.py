"""What is learned: of all videos of a batch a caption belongs to its own, and the other way."""

import torch
import torch.nn.functional as F
from torch import Tensor


def info_nce(logits: Tensor, match: Tensor) -> Tensor:
    """Symmetric InfoNCE (https://arxiv.org/abs/1807.03748) over the pairs of a batch.

    A pair of a caption and a video that belong together, but are not of one row, is no negative:
    it is left out of both softmaxes.

    Args:
        logits: fp32 [B, B], of caption i and the video of caption j.
        match: bool [B, B], whether they belong together; true on the diagonal.

    Returns:
        The sum over captions of the mean of both directions' losses.
    """
    own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    masked = logits.masked_fill(match & ~own, -torch.inf)
    target = torch.arange(len(logits), device=logits.device)
    to_video = F.cross_entropy(masked, target, reduction="sum")
    to_text = F.cross_entropy(masked.T, target, reduction="sum")
    return (to_video + to_text) / 2


def counted(match: Tensor) -> int:
    """How many captions of a batch have anything to be told from; the loss of the others is 0."""
    negative = ~match
    return int((negative.any(dim=0) | negative.any(dim=1)).sum())

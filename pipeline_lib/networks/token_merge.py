"""Merging similar tokens: bipartite matching, then averages weighted by what a token stands for.

The matching is that of Token Merging (https://arxiv.org/abs/2210.09461) as TempMe
(https://arxiv.org/abs/2409.01156) uses it: class tokens stand first and are never merged, patch
tokens are split in turn into two sets, and the tokens of the first set that are most like one of
the second are merged into it.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Matching(NamedTuple):
    """Which of n tokens stay, and where the r others go.

    Attributes:
        kept: int64 [B, n - r]: the tokens that stay, in the order of the result.
        source: int64 [B, r]: the tokens that are merged away.
        target: int64 [B, r]: the row of the result that each of them is merged into.
    """

    kept: Tensor
    source: Tensor
    target: Tensor


def merge_tokens(
    tokens: Tensor, metric: Tensor, size: Tensor | None, merged: int, class_tokens: int
) -> tuple[Tensor, Tensor | None]:
    """Merge ``merged`` patch tokens into their most similar ones.

    Args:
        tokens: [B, n, d], class tokens first.
        metric: [B, n, k]: tokens are alike where the cosine of their metrics is large.
        size: [B, n, 1]: how many tokens each one stands for; ``None`` where each is one.
        merged: How many tokens are merged away; at most half of the patches are.
        class_tokens: How many tokens in front are left as they are.

    Returns:
        Tokens [B, n - merged, d] (class tokens, what is left of the first set, the second set)
        and their sizes [B, n - merged, 1]; both as they came where nothing is merged.
    """
    rows, length, _ = tokens.shape
    merged = min(merged, (length - class_tokens) // 2)
    if merged <= 0:
        return tokens, size
    matching = match(metric, merged, class_tokens)
    if size is None:
        size = tokens.new_ones(rows, length, 1, dtype=torch.float32)
    # Rows are picked and added in one flat table: several times faster than along an inner axis.
    row = torch.arange(rows, device=tokens.device).unsqueeze(1)
    kept = (matching.kept + row * length).flatten()
    source = (matching.source + row * length).flatten()
    target = (matching.target + row * (length - merged)).flatten()
    before, table = size.flatten(0, 1), tokens.flatten(0, 1)
    size_kept, size_source = before.index_select(0, kept), before.index_select(0, source)
    after = size_kept.index_add(0, target, size_source)
    share_kept = (size_kept / after).to(tokens.dtype)
    share_source = (size_source / after.index_select(0, target)).to(tokens.dtype)
    averaged = (table.index_select(0, kept) * share_kept).index_add(
        0, target, table.index_select(0, source) * share_source
    )
    return averaged.unflatten(0, (rows, -1)), after.unflatten(0, (rows, -1))


@torch.no_grad()
def match(metric: Tensor, merged: int, class_tokens: int) -> Matching:
    """Pair patch tokens. Equal scores are decided by position, so batch mates change nothing.

    Args:
        metric: [B, n, k].
        merged: r, from 1 to half of the patches.
        class_tokens: How many tokens in front are no patches.
    """
    rows, length, _ = metric.shape
    order = torch.arange(length, device=metric.device).expand(rows, -1)
    # The sets alternate over all tokens; the first one starts at token 0, a class token or not.
    first_start = class_tokens + class_tokens % 2
    second_start = class_tokens + 1 - class_tokens % 2
    unit = F.normalize(metric.float(), dim=-1)
    scores = unit[:, first_start::2] @ unit[:, second_start::2].transpose(1, 2)
    best, partner = scores.max(dim=-1)
    ranked = best.argsort(dim=-1, descending=True, stable=True)
    leaving, staying = ranked[:, :merged], ranked[:, merged:].sort(dim=-1).values
    return Matching(
        kept=torch.cat(
            [order[:, :class_tokens], first_start + 2 * staying, order[:, second_start::2]], dim=1
        ),
        source=first_start + 2 * leaving,
        target=partner.gather(1, leaving) + class_tokens + staying.shape[1],
    )

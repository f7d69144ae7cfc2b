"""Bipartite matching and size-weighted merging as TempMe publishes them."""

import numpy as np
import torch

from pipeline_lib.networks.token_merge import merge_tokens
from tests.parity.golden import fill


def merged(case: dict) -> dict[str, np.ndarray]:
    """Tokens and sizes of each of the manifest's cases."""
    made: dict[str, np.ndarray] = {}
    for one in case["cases"]:
        tag, count, class_tokens = one["tag"], one["tokens"], one["class_tokens"]
        tokens = torch.from_numpy(fill.values(f"tokens.{tag}", (2, count, 24)))
        metric = torch.from_numpy(fill.values(f"metric.{tag}", (2, count, 8)))
        drawn = torch.from_numpy(fill.values(f"size.{tag}", (2, count, 1)))
        size = 1 + torch.floor(3 * torch.sigmoid(drawn))
        size[:, :class_tokens] = 1
        tokens, left = merge_tokens(tokens, metric, size, one["merged"], class_tokens)
        made |= {f"{tag}.tokens": tokens.numpy(), f"{tag}.size": left.numpy()}
    return made

"""The vocabulary's nearest words to each learned context vector.

A way to look at what was learned, and no more: the authors of CoOp found that most of these words
make no sense (Zhou et al., IJCV 2022, section 4.4).
"""

import pandas as pd
import torch
from torch import Tensor

from pipeline_lib.networks.text_towers import TextTower

SHARED = -1
_VECTORS = 256


def nearest_words(tower: TextTower, context: Tensor, words: int = 5) -> pd.DataFrame:
    """The nearest tokens of each context vector by Euclidean distance.

    Args:
        tower: The text tower it was learned with.
        context: fp32 [n, d], or [C, n, d] with a context for each class.
        words: How many for each vector.

    Returns:
        One row a vector and word, nearest first: ``class_index`` (-1 where the context is shared),
        ``position`` (from 1), ``rank`` (from 1), ``word`` and ``distance``.
    """
    vocabulary = tower.vocabulary()
    with torch.no_grad():
        table = tower.embed(torch.arange(len(vocabulary))[None])[0]
        vectors = context.detach().to(table).flatten(0, -2)
        parts = [
            torch.cdist(some, table).topk(words, largest=False) for some in vectors.split(_VECTORS)
        ]
    distances = torch.cat([part.values for part in parts]).cpu().numpy()
    tokens = torch.cat([part.indices for part in parts]).cpu().numpy()
    length = context.shape[-2]
    return pd.DataFrame(
        [
            {
                "class_index": SHARED if context.dim() == 2 else vector // length,
                "position": vector % length + 1,
                "rank": rank + 1,
                "word": vocabulary[tokens[vector, rank]],
                "distance": float(distances[vector, rank]),
            }
            for vector in range(len(vectors))
            for rank in range(words)
        ]
    )

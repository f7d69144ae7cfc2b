"""Class names, read back from the frozen embeddings that a CoOp checkpoint carries.

``token_suffix`` holds what follows the context in every prompt: name, period, end of text and
padding, each a row of the text tower's token table. With the right tower the rows tell the tokens,
and with them the names.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline_lib.networks.text_towers import TextTower

UNKNOWN = -1
_CHUNK = 8192


def nearest_tokens(tower: TextTower, rows: Tensor) -> Tensor:
    """The token each row is the embedding of, int64 [...]; ``UNKNOWN`` where it is of none.

    Rows may have been rounded to half precision.

    Args:
        tower: The text tower.
        rows: Embeddings [..., d].
    """
    # Rounding to a format errs by half its epsilon.
    tolerance = max(torch.finfo(rows.dtype).eps, torch.finfo(torch.float16).eps)
    flat = rows.reshape(-1, rows.shape[-1]).float().cpu()
    # Padding and common words repeat in all classes.
    distinct, of_row = torch.unique(flat, dim=0, return_inverse=True)
    best = torch.full((len(distinct),), torch.inf)
    tokens = torch.zeros(len(distinct), dtype=torch.int64)
    gap = best.clone()
    for ids in torch.arange(len(tower.vocabulary())).split(_CHUNK):
        table = tower.embed(ids[None])[0].cpu()
        distance, index = torch.cdist(distinct, table).min(dim=1)
        nearer = distance < best
        best = torch.where(nearer, distance, best)
        tokens = torch.where(nearer, ids[index], tokens)
        # A difference of squares is too coarse to compare with the tolerance.
        gap = torch.where(nearer, (distinct - table[index]).norm(dim=1), gap)
    known = gap <= tolerance * distinct.norm(dim=1)
    return torch.where(known, tokens, UNKNOWN)[of_row].reshape(rows.shape[:-1])


def name_tokens(tower: TextTower, names: Sequence[str], length: int) -> Tensor:
    """What follows the context in the prompts of ``names``: int64 [C, length]."""
    ids = tower.tokenize([f"{name.replace('_', ' ')}." for name in names])
    return ids[:, 1 : 1 + length]


def read_names(tower: TextTower, suffixes: Tensor) -> list[str | None]:
    """The names whose prompts go on with these tokens behind their context.

    Args:
        tower: The text tower.
        suffixes: Tokens of name, period, end of text and padding, int64 [C, m].

    Returns:
        ``None`` where no name is spelled like this, or one in pieces of characters.
    """
    vocabulary = tower.vocabulary()
    ends = int(tower.tokenize([""])[0, 1])
    names = []
    for tokens in suffixes.tolist():
        close = tokens.index(ends) if ends in tokens else 0
        text = _spell(tower, vocabulary, tokens[:close]) or ""
        names.append(text.removesuffix(".").strip() or None if text.endswith(".") else None)
    return names


def _spell(tower: TextTower, vocabulary: Sequence[str], tokens: Sequence[int]) -> str | None:
    """The text of ``tokens``; where its words end, only the tokenizer knows."""
    words, start = [], 0
    for end in range(1, len(tokens) + 1):
        word = "".join(vocabulary[token] for token in tokens[start:end])
        ids = tower.tokenize([word])
        if ids[0, 1 : int(tower.eot(ids))].tolist() == list(tokens[start:end]):
            words.append(word)
            start = end
    return " ".join(words) if start == len(tokens) else None

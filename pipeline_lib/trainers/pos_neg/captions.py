"""Captions through a causal text tower, without the padding that none of their tokens sees."""

from typing import Any

import torch
from torch import Tensor, nn

from pipeline_lib.runtime.torchvision_ops import import_open_clip


def without_padding(clip: Any, tokens: Tensor) -> Tensor:
    """``tokens`` up to the end of the longest caption, or all where more of them count.

    In a causal tower that reads a caption at its end, what follows changes no feature. The
    tokens of other towers are left as they are.

    Args:
        clip: An open_clip model.
        tokens: int64 [B, context length].
    """
    tower = _text_tower(clip)
    if tower is None:
        return tokens
    return tokens[:, : int(_ends(tower, tokens).max()) + 1]


def encode_captions(clip: Any, tokens: Tensor) -> Tensor:
    """What ``clip.encode_text`` gives for all tokens, of those :func:`without_padding` left.

    Args:
        clip: An open_clip model.
        tokens: int64 [B, l].

    Returns:
        [B, D], or [B, width] where the tower's projection has been taken away.
    """
    tower = _text_tower(clip)
    length = tokens.shape[1]
    if tower is None or length == clip.context_length:
        features: Tensor = clip.encode_text(tokens, normalize=False)
        return features
    dtype = tower.transformer.get_cast_dtype()
    x = tower.token_embedding(tokens).to(dtype) + tower.positional_embedding[:length].to(dtype)
    x = tower.transformer(x, attn_mask=tower.attn_mask[:length, :length])
    # The norm works on each token by itself, so only the token that is read needs it.
    read: Tensor = tower.ln_final(x[torch.arange(len(x), device=x.device), _ends(tower, tokens)])
    projection = tower.text_projection
    if projection is None:
        return read
    return projection(read) if isinstance(projection, nn.Linear) else read @ projection


def _text_tower(clip: Any) -> Any | None:
    """What holds the parts of the text tower, if it is causal and reads a caption at its end."""
    open_clip = import_open_clip()
    tower = getattr(clip, "text", clip)
    # Another class may do something else with the same parts.
    if type(tower) not in (open_clip.model.CLIP, open_clip.transformer.TextTransformer):
        return None
    appends = getattr(tower, "cls_emb", None) is not None or getattr(tower, "use_pad_mask", False)
    causal = tower.attn_mask is not None and not appends
    return tower if causal and _pooling(tower) in ("argmax", "eos") else None


def _ends(tower: Any, tokens: Tensor) -> Tensor:
    """Where each caption is read, int64 [B]."""
    if _pooling(tower) == "argmax":
        return tokens.argmax(dim=-1)
    # CLIP and its text tower on its own name this differently too.
    end = tower.eos_id if hasattr(tower, "eos_id") else tower.text_eos_id
    return (tokens == end).int().argmax(dim=-1)


def _pooling(tower: Any) -> str:
    name: str = tower.pool_type if hasattr(tower, "pool_type") else tower.text_pool_type
    return name

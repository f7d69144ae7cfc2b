"""Random streams that depend on what they are for, not on the order things happen in."""

import hashlib

import numpy as np
import torch


def _digest(parts: tuple[str | int, ...]) -> int:
    text = "\0".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def numpy_stream(*parts: str | int) -> np.random.Generator:
    """A generator named by ``parts``, e.g. ``(seed, "mine", id)``: equal names, equal draws."""
    return np.random.default_rng(_digest(parts))


def torch_stream(*parts: str | int) -> torch.Generator:
    """Like :func:`numpy_stream`, for torch on the CPU."""
    return torch.Generator().manual_seed(_digest(parts) % (1 << 63))

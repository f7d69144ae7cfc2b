"""The same training twice, bit for bit."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pipeline_lib.runtime.device import fix_product_order


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """A context in which the same training gives the same bits, as far as torch can do it."""
    fix_product_order()
    if device.type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    earlier = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(earlier)

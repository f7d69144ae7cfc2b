"""How far a student's tokens are from its teacher's."""

from collections.abc import Callable, Mapping

import torch.nn.functional as F
from torch import Tensor


def _l2(student: Tensor, target: Tensor) -> Tensor:
    """``2 - 2 <s, t>``, the squared distance of vectors of length 1: [..., D] to [...]."""
    return 2 - 2 * (student * target).sum(dim=-1)


def _mse(student: Tensor, target: Tensor) -> Tensor:
    return (student - target).square().mean(dim=-1)


def _smooth_l1(student: Tensor, target: Tensor) -> Tensor:
    return F.smooth_l1_loss(student, target, reduction="none").mean(dim=-1)


_LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l2": _l2,
    "mse": _mse,
    "smooth_l1": _smooth_l1,
}


def alignment_loss(student: Tensor, target: Tensor, kind: str) -> Tensor:
    """The loss of each clip, [B]: the mean over layers and visible tokens, class token included.

    Args:
        student: [K, B, visible, D] of length 1.
        target: Likewise.
        kind: ``l2``, ``mse`` or ``smooth_l1``.
    """
    return _LOSSES[kind](student, target).mean(dim=(0, 2))

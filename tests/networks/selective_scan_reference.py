"""The selective scan as its formula reads: a plain loop over time."""

import torch
import torch.nn.functional as F
from torch import Tensor


def reference_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,  # noqa: N803
    B: Tensor,  # noqa: N803
    C: Tensor,  # noqa: N803
    D: Tensor | None = None,  # noqa: N803
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
) -> Tensor:
    step = delta if delta_bias is None else delta + delta_bias[:, None]
    step = F.softplus(step) if delta_softplus else step
    h = u.new_zeros(*u.shape[:2], A.shape[1])
    ys = []
    for s, x, b, c in zip(*(v.unbind(-1) for v in (step, u, B, C)), strict=True):
        h = torch.exp(s[..., None] * A) * h + (s * x)[..., None] * b[:, None]
        ys.append((h * c[:, None]).sum(-1))
    y = torch.stack(ys, -1)
    y = y if D is None else y + D[:, None] * u
    return y if z is None else y * F.silu(z)


def arguments(
    length: int,
    *,
    clips: int = 2,
    channels: int = 21,
    states: int = 4,
    dtype: torch.dtype = torch.float64,
) -> list[Tensor]:
    """u, delta, A, B, C, D, z, delta_bias; rates from -1 to -16, step sizes around 0.7."""
    draw = torch.Generator().manual_seed(length)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64).to(dtype)

    rates = -torch.linspace(1, 16, states, dtype=dtype).repeat(channels, 1)
    wide, narrow = (clips, channels, length), (clips, states, length)
    made = [
        normal(*wide), normal(*wide), rates, normal(*narrow), normal(*narrow), normal(channels),
        normal(*wide), normal(channels),
    ]  # fmt: skip
    return [x.requires_grad_() for x in made]

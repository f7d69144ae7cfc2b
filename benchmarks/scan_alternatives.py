"""Other ways to run a selective scan on a CPU, each with autograd's or its own backward pass.

All of them take u, delta [B, D, L], A [D, N], B, C [B, N, L] and give y [B, D, L]; step sizes are
softplus(delta).
"""

import importlib.util
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline_lib.networks.scan_chunk import ScanInputs
from pipeline_lib.networks.scan_two_level import scan_two_level
from pipeline_lib.networks.selective_scan import selective_scan

Scan = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


def indexed_loop(u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """A loop that takes ``x[:, :, t]`` in every step, as reference implementations do."""
    step = F.softplus(delta)
    decays = torch.exp(torch.einsum("bdl,dn->bdln", step, a))
    gains = torch.einsum("bdl,bnl,bdl->bdln", step, b, u)
    state, ys = u.new_zeros(*u.shape[:2], a.shape[1]), []
    for t in range(u.shape[2]):
        state = decays[:, :, t] * state + gains[:, :, t]
        ys.append(torch.einsum("bdn,bn->bd", state, c[:, :, t]))
    return torch.stack(ys, dim=2)


def unbound_loop(u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """A loop over arrays that were taken apart once, so that gradients are put together once."""
    decays, gains = _elements(u, delta, a, b)
    state, states = torch.zeros_like(gains[0]), []
    for decay, gain in zip(decays.unbind(), gains.unbind(), strict=True):
        state = decay * state + gain
        states.append(state)
    return _read(torch.stack(states), c)


def associative(u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """PyTorch's own parallel scan."""
    from torch._higher_order_ops.associative_scan import associative_scan

    def combined(
        first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        return first[0] * second[0], second[0] * first[1] + second[1]

    elements = _elements(u, delta, a, b)
    _, states = associative_scan(combined, elements, dim=0, combine_mode="generic")
    return _read(states, c)


def mambapy(u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """The parallel scan of the package mambapy, which takes [B, L, D, N]."""
    from mambapy.pscan import pscan

    step, into, out = (x.transpose(1, 2) for x in (F.softplus(delta), b, c))
    decays = torch.exp(step.unsqueeze(-1) * a)
    gains = (step * u.transpose(1, 2)).unsqueeze(-1) * into.unsqueeze(2)
    return (pscan(decays, gains) @ out.unsqueeze(-1)).squeeze(-1).transpose(1, 2)


def two_level(u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """What ``torch`` is on a GPU."""
    step, x, into, out = (v.permute(2, 0, 1).contiguous() for v in (F.softplus(delta), u, b, c))
    decay = a.t().contiguous().expand(len(u), -1, -1)
    return scan_two_level(ScanInputs(step, x, decay, into, out)).permute(1, 2, 0)


def scans() -> dict[str, Scan]:
    """By name, those that can run here; this library's first."""
    own = {name: partial(selective_scan, delta_softplus=True, backend=name)
           for name in ("torch", "compiled")}  # fmt: skip
    other: dict[str, Scan] = {"unbound loop": unbound_loop, "two levels": two_level,
                              "associative_scan": associative}  # fmt: skip
    if importlib.util.find_spec("mambapy"):
        other["mambapy"] = mambapy
    return {**own, **other}


def _elements(u: Tensor, delta: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Decays and gains [L, B, D, N] of the states."""
    step = F.softplus(delta).permute(2, 0, 1)
    gain = (step * u.permute(2, 0, 1)).unsqueeze(-1) * b.permute(2, 0, 1).unsqueeze(2)
    return torch.exp(step.unsqueeze(-1) * a), gain


def _read(states: Tensor, c: Tensor) -> Tensor:
    return (states @ c.permute(2, 0, 1).unsqueeze(-1)).squeeze(-1).permute(1, 2, 0)

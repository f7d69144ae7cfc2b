"""The selective scan of Mamba: a linear recurrence whose decay depends on its input.

For every clip, channel d and state n, with step sizes s_t = softplus(delta_t + delta_bias):

    h_t[n] = exp(s_t * A[d, n]) * h_{t-1}[n] + s_t * B_t[n] * u_t,    h_{-1} = 0
    y_t    = (sum_n C_t[n] * h_t[n] + D[d] * u_t) * SiLU(z_t)

(https://arxiv.org/abs/2312.00752; B is not discretised exactly, as in the published code.) Three
implementations give the same values: ``torch`` (:mod:`.scan_chunked` on a CPU,
:mod:`.scan_two_level` elsewhere), ``compiled`` (:mod:`.scan_loops`) and ``cuda``
(:mod:`.scan_kernel`).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline_lib.networks.scan_choice import ScanChoice, choose_scan
from pipeline_lib.networks.scan_chunk import ScanInputs
from pipeline_lib.networks.scan_chunked import scan_chunked
from pipeline_lib.networks.scan_kernel import scan_kernel
from pipeline_lib.networks.scan_loops import scan_loops
from pipeline_lib.networks.scan_two_level import scan_two_level

__all__ = ["ScanChoice", "choose_scan", "selective_scan"]


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,  # noqa: N803
    B: Tensor,  # noqa: N803
    C: Tensor,  # noqa: N803
    D: Tensor | None = None,  # noqa: N803
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    backend: str = "auto",
) -> Tensor:
    """Scan B clips; the arguments are those of mamba-ssm's ``selective_scan_fn``.

    Inputs may be of any floating type and differ in it. The recurrence runs in float32, under
    autocast too; in float64 where ``u`` is float64, which mamba-ssm's kernel does not know: then
    ``torch`` runs in its place. On a CPU nothing is transposed where channels lie last in memory
    (``x.transpose(1, 2)`` of a contiguous [B, L, D]); the result does.

    Args:
        u: The input [B, D, L].
        delta: Step sizes [B, D, L].
        A: Rates of decay [D, N], negative.
        B: How the input enters the states [B, N, L].
        C: How the states are read [B, N, L].
        D: The share of the input that is added to the output [D].
        z: A gate [B, D, L] before its SiLU.
        delta_bias: Added to ``delta`` [D].
        delta_softplus: Whether step sizes go through a softplus.
        backend: ``auto``, ``torch``, ``compiled`` or ``cuda``; see :func:`choose_scan`.

    Returns:
        [B, D, L] in the type of ``u``; differentiable once.

    Raises:
        ConfigError: ``backend`` cannot run on the device of ``u``.
        ValueError: Shapes do not fit each other.
    """
    _check_shapes(u, A, {"delta": delta, "z": z}, {"B": B, "C": C}, {"D": D, "bias": delta_bias})
    name = choose_scan(backend, u.device).name
    work = torch.float64 if u.dtype == torch.float64 else torch.float32
    with torch.autocast(u.device.type, enabled=False):
        if name == "cuda" and work == torch.float32:
            return scan_kernel(u, delta, A, B, C, D, z, delta_bias, delta_softplus)
        step = _time_major(delta, work)
        if delta_bias is not None:
            step = step + delta_bias.to(work)
        if delta_softplus:
            step = F.softplus(step)
        x = _time_major(u, work)
        decay = A.to(work).t().contiguous().expand(len(u), -1, -1)
        inputs = ScanInputs(step, x, decay, _time_major(B, work), _time_major(C, work))
        y = _implementation(name, u.device)(inputs)
        if D is not None:
            y = torch.addcmul(y, x, D.to(work))
        if z is not None:
            y = y * F.silu(_time_major(z, work))
        return y.permute(1, 2, 0).to(u.dtype)


def _implementation(name: str, device: torch.device) -> Callable[[ScanInputs], Tensor]:
    if name == "compiled":
        return scan_loops
    return scan_chunked if device.type == "cpu" else scan_two_level


def _time_major(x: Tensor, dtype: torch.dtype) -> Tensor:
    """[B, K, L] as [L, B, K], contiguous."""
    x = x.to(dtype)
    if x.is_contiguous():
        # Of two dimensions torch transposes block by block.
        return x.flatten(0, 1).t().contiguous().unflatten(1, x.shape[:2])
    return x.permute(2, 0, 1).contiguous()


def _check_shapes(
    u: Tensor,
    decay: Tensor,
    like_u: dict[str, Tensor | None],
    of_states: dict[str, Tensor | None],
    of_channels: dict[str, Tensor | None],
) -> None:
    if u.dim() != 3 or 0 in u.shape or decay.dim() != 2:
        raise ValueError(f"u is {list(u.shape)} and A {list(decay.shape)}, not [B, D, L], [D, N]")
    clips, channels, length = u.shape
    expected = {
        "A": (decay, [channels, decay.shape[1]]),
        **{name: (x, [clips, channels, length]) for name, x in like_u.items()},
        **{name: (x, [clips, decay.shape[1], length]) for name, x in of_states.items()},
        **{name: (x, [channels]) for name, x in of_channels.items()},
    }
    for name, (x, shape) in expected.items():
        if x is not None and list(x.shape) != shape:
            raise ValueError(f"{name} is {list(x.shape)}, but u and A make it {shape}")

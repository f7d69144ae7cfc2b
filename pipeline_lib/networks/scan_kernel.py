"""The selective scan by mamba-ssm's CUDA kernel, where that package is installed and works.

The package is imported only when the kernel is asked for: it pulls in Triton and transformers, can
fail in many ways on a machine without a matching build, and newer releases import without a kernel
and fail at the call. So nothing but a call on the device itself tells whether it can be used.
"""

import importlib
from collections.abc import Callable

import torch
from torch import Tensor

_MODULE = "mamba_ssm.ops.selective_scan_interface"


def kernel_fault(device: torch.device) -> str | None:
    """Why the kernel cannot run on ``device``; ``None`` where it can."""
    try:
        scan = _kernel()
    except ModuleNotFoundError as error:
        if error.name == "mamba_ssm":
            return "the package mamba-ssm is not installed"
        return f"mamba-ssm does not import: {_said(error)}"
    except Exception as error:  # noqa: BLE001  # a build for another torch fails in any way
        return f"mamba-ssm does not import: {_said(error)}"
    try:
        u = torch.ones(1, 8, 1, device=device)
        states = torch.ones(1, 2, 1, device=device)
        y = scan(u, u, torch.zeros(8, 2, device=device), states, states)
        right = bool((y == 2).all())
    except Exception as error:  # noqa: BLE001  # a missing kernel is told by any of several errors
        return f"mamba-ssm is installed but its kernel does not run: {_said(error)}"
    return None if right else "mamba-ssm's kernel gives wrong values"


def scan_kernel(
    u: Tensor,
    delta: Tensor,
    decay: Tensor,
    into: Tensor,
    out: Tensor,
    skip: Tensor | None,
    gate: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
) -> Tensor:
    """The whole scan, with arguments as :func:`~.selective_scan.selective_scan` takes them."""
    u, delta, into, out = (x.to(u.dtype).contiguous() for x in (u, delta, into, out))
    gate = None if gate is None else gate.to(u.dtype).contiguous()
    skip, delta_bias = (None if x is None else x.float() for x in (skip, delta_bias))
    return _kernel()(u, delta, decay.float(), into, out, skip, gate, delta_bias, delta_softplus)


def _kernel() -> Callable[..., Tensor]:
    scan: Callable[..., Tensor] = importlib.import_module(_MODULE).selective_scan_fn
    return scan


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"

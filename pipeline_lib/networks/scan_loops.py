"""The selective scan for a CPU as compiled loops; needs a C compiler (gcc or clang).

They read and write each input and gradient once: decays and states never leave the processor's
registers and first cache. Building takes well under a second, so every process builds its own, for
exactly the processor it runs on, and nothing is left on disk.
"""

import ctypes
import math
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from pipeline_lib.networks.scan_chunk import LOG2_E, ScanInputs

_SOURCE = Path(__file__).with_name("scan_loops.c")
_TIMEOUT_S = 120
_TRIAL_STATES = 16
# States times steps of a chunk: decays and states of so many registers fit the second cache.
_CHUNK = 256


def loops_fault() -> str | None:
    """Why the loops cannot be used here; ``None`` where a trial gives the right values."""
    try:
        y = _trial()
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or "").strip() or str(error)
        return f"no C compiler builds the loops: {said.splitlines()[0]}"
    # The states halve with each token and get 1 of each: 1, 1.5, 1.75.
    wanted = _TRIAL_STATES * torch.tensor([1.0, 1.5, 1.75])
    if not torch.allclose(y[:, 0, 0], wanted):
        return f"the compiled loops give wrong values: {y[:, 0, 0].tolist()}"
    return None


def _trial() -> Tensor:
    one = torch.ones(3, 1, 1)
    many = one.expand(-1, -1, _TRIAL_STATES).contiguous()
    halving = torch.full((1, _TRIAL_STATES, 1), -math.log(2))
    with torch.no_grad():
        return scan_loops(ScanInputs(one, one, halving, many, many))


def scan_loops(inputs: ScanInputs) -> Tensor:
    """The scan, differentiable once.

    Returns:
        [L, R, D].
    """
    channels = inputs.u.shape[2]
    lanes = _library(inputs.decay.shape[1], inputs.u.dtype).scan_lanes()
    if missing := -channels % lanes:
        step, u, decay, into, out = inputs
        # Channels without input have no output and no gradient.
        step, u, decay = (F.pad(x, (0, missing)) for x in (step, u, decay))
        inputs = ScanInputs(step, u, decay, into, out)
    inputs = inputs._replace(decay=inputs.decay.contiguous())
    y = _LoopScan.apply(*inputs) if inputs.wants_gradient() else _forward(inputs, None)
    return y[..., :channels]


class _LoopScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> Tensor:
        inputs = ScanInputs(*tensors)
        chunks = -(-len(inputs.u) // _steps(inputs.decay.shape[1]))
        starts = inputs.u.new_empty(chunks, *inputs.decay.shape)
        ctx.save_for_backward(starts, *inputs)
        return _forward(inputs, starts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        starts, *tensors = ctx.saved_tensors
        step, u, decay, into, out = ScanInputs(*tensors)
        length, rows, channels = u.shape
        states, threads = decay.shape[1], torch.get_num_threads()
        library = _library(states, u.dtype)
        # Every thread sums over channels of its own.
        parts = min(-(-threads // rows), channels // library.scan_lanes())
        carried, grad_decay = torch.zeros_like(decay), torch.zeros_like(decay)
        grad_step, grad_u = torch.empty_like(step), torch.empty_like(u)
        grad_into, grad_out = (u.new_empty(parts, rows, length, states) for _ in range(2))
        power, grad = decay * LOG2_E, grad.contiguous()
        library.scan_backward(
            *map(ctypes.c_long, (length, rows, channels, parts)), threads,
            *map(_address, (step, u, power, decay, into, out, starts, grad, carried)),
            *map(_address, (grad_step, grad_u, grad_decay, grad_into, grad_out)),
        )  # fmt: skip
        sums = (x.sum(dim=0).transpose(0, 1) for x in (grad_into, grad_out))
        return grad_step, grad_u, grad_decay, *sums


def _forward(inputs: ScanInputs, starts: Tensor | None) -> Tensor:
    step, u, decay, into, out = inputs
    y, power = torch.empty_like(u), decay * LOG2_E
    _library(decay.shape[1], u.dtype).scan_forward(
        *map(ctypes.c_long, u.shape), torch.get_num_threads(),
        *map(_address, (step, u, power, into, out, y)),
        None if starts is None else _address(starts),
    )  # fmt: skip
    return y


def _address(x: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(x.data_ptr())


def _steps(states: int) -> int:
    return max(1, _CHUNK // states)


@cache
def _library(states: int, dtype: torch.dtype) -> ctypes.CDLL:
    """The loops, built for so many states and this type."""
    # CC may hold more than a program, such as "ccache gcc".
    compiler = shlex.split(os.environ.get("CC", "")) or [
        shutil.which("cc") or shutil.which("gcc") or "clang"
    ]
    real = ["-DREAL=float", "-DSINGLE"] if dtype == torch.float32 else ["-DREAL=double"]
    threads = ["-fopenmp"] if sys.platform == "linux" else []
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "scan_loops.so"
        subprocess.run(
            [*compiler, "-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC", *threads,
             *real, f"-DN={states}", f"-DSTEPS={_steps(states)}", str(_SOURCE), "-o", str(built),
             "-lm"],
            check=True, capture_output=True, text=True, timeout=_TIMEOUT_S,
        )  # fmt: skip
        library = ctypes.CDLL(str(built))
    library.scan_lanes.restype = ctypes.c_long
    return library

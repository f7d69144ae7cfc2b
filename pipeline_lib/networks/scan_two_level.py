"""The selective scan for a GPU without mamba-ssm's kernel: all chunks of time side by side.

Time is cut into about sqrt(L) chunks. They are scanned together, each as if it started from
nothing; then one short loop carries states from chunk to chunk, and what a chunk inherits is added
to its states. That takes some 2 sqrt(L) kernel launches instead of L. What is inherited decays by
exp(A * time since the chunk began), never above one: quotients of such decays would overflow.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from pipeline_lib.networks.scan_chunk import Chunk, ChunkGradients, ScanInputs

# Elements of a buffer that holds the states of all times; there are about four of them.
_STATES = 1 << 26


def scan_two_level(inputs: ScanInputs) -> Tensor:
    """The scan, differentiable once.

    Returns:
        [L, R, D].
    """
    rows = max(1, _STATES // (len(inputs.u) * inputs.decay[0].numel()))
    parts = [_scan(part) for part in inputs.split(rows)]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _scan(inputs: ScanInputs) -> Tensor:
    """Chunks become rows, [T, K * R, ...]; steps of size 0 behind the end change nothing."""
    time = len(inputs.u)
    length = math.isqrt(time - 1) + 1
    chunks = -(-time // length)

    def side_by_side(x: Tensor) -> Tensor:
        padded = F.pad(x, (0, 0, 0, 0, 0, length * chunks - time))
        return padded.unflatten(0, (chunks, length)).transpose(0, 1).flatten(1, 2).contiguous()

    step, u, into, out = map(side_by_side, (inputs.step, inputs.u, inputs.into, inputs.out))
    decay = inputs.decay.repeat(chunks, 1, 1)
    y = _TwoLevelScan.apply(chunks, step, u, decay, into, out)
    return y.unflatten(1, (chunks, -1)).transpose(0, 1).flatten(0, 1)[:time]


class _TwoLevelScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, chunks: int, *tensors: Tensor) -> Tensor:
        inputs = ScanInputs(*tensors)
        chunk = Chunk(inputs.decay, len(inputs.u))
        chunk.states[0] = 0
        chunk.run(inputs.step, inputs.step * inputs.u, inputs.into)
        # The decays are done with; their memory takes those since the beginning of a chunk.
        since = _decays(inputs.step.cumsum(0), chunk.power, chunk.decays)
        starts = torch.cat(_inherited(chunk.states[-1].chunk(chunks), since[-1].chunk(chunks)))
        chunk.states[1:].addcmul_(since, starts)
        y = torch.empty_like(inputs.u)
        chunk.read(inputs.out, y)
        ctx.chunks = chunks
        ctx.save_for_backward(starts, *inputs)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        starts, *tensors = ctx.saved_tensors
        inputs, grad = ScanInputs(*tensors), grad.contiguous()
        gain = inputs.step * inputs.u
        chunk = Chunk(inputs.decay, len(inputs.u))
        chunk.states[0] = starts
        chunk.run(inputs.step, gain, inputs.into)
        gradients = ChunkGradients(chunk, inputs)
        leaving = torch.zeros_like(starts)
        gradients.sweep(grad, inputs.out, leaving)
        # Summed from the end: a difference of sums from the beginning would lose the digits.
        left = inputs.step.flip(0).cumsum(0).flip(0)
        whole = torch.exp2(left[0].unsqueeze(1) * chunk.power)
        later_first = (x.chunk(ctx.chunks)[::-1] for x in (leaving, whole))
        inherited = torch.cat(_inherited(*later_first)[::-1])
        after = F.pad(left[1:], (0, 0, 0, 0, 0, 1))
        until = _decays(after, chunk.power, torch.empty_like(chunk.decays))
        gradients.states.addcmul_(until, inherited)
        gradients.collect(slice(None), grad, gain)
        return None, *gradients.finished()


def _decays(time: Tensor, power: Tensor, out: Tensor) -> Tensor:
    """[T, R, N, D]: what is left of a state after ``time`` [T, R, D]."""
    return torch.mul(time.unsqueeze(2), power, out=out).exp2_()


def _inherited(own: tuple[Tensor, ...], kept: tuple[Tensor, ...]) -> list[Tensor]:
    """What each chunk [R, N, D] gets from those before it.

    Args:
        own: What each would hand on if it had got nothing.
        kept: The share of what it got that it hands on as well.
    """
    passed = [torch.zeros_like(own[0])]
    for mine, share in zip(own[:-1], kept[:-1], strict=True):
        passed.append(torch.addcmul(mine, share, passed[-1]))
    return passed

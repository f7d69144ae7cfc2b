"""The selective scan for a CPU: step after step, a cache-sized chunk of time at once.

Only the state before each chunk is kept for the backward pass, which computes the rest of the
chunk again: decays and states would take 2N times the memory of the input.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pipeline_lib.networks.scan_chunk import Chunk, ChunkGradients, ScanInputs

# Elements of one step and of one chunk, a thread: larger ones leave the caches, smaller ones cost
# more in calls than in arithmetic.
_STEP = 1 << 16
_CHUNK = 1 << 19
_LONGEST = 64


def scan_chunked(inputs: ScanInputs) -> Tensor:
    """The scan, differentiable once.

    Returns:
        [L, R, D].
    """
    threads = torch.get_num_threads()
    rows = max(1, _STEP * threads // inputs.decay[0].numel())
    parts = [_scan(part, threads) for part in inputs.split(rows)]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _scan(inputs: ScanInputs, threads: int) -> Tensor:
    longest = min(_LONGEST, len(inputs.u))
    length = min(longest, max(1, _CHUNK * threads // inputs.decay.numel()))
    if inputs.wants_gradient():
        return _ChunkedScan.apply(length, *inputs)
    return _forward(inputs, length, None)


class _ChunkedScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, length: int, *tensors: Tensor) -> Tensor:
        inputs = ScanInputs(*tensors)
        chunks = -(-len(inputs.u) // length)
        starts = inputs.u.new_empty(chunks, *inputs.decay.shape)
        ctx.length = length
        ctx.save_for_backward(starts, *inputs)
        return _forward(inputs, length, starts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        starts, *tensors = ctx.saved_tensors
        inputs, grad = ScanInputs(*tensors), grad.contiguous()
        gain = inputs.step * inputs.u
        chunk = Chunk(inputs.decay, ctx.length)
        gradients = ChunkGradients(chunk, inputs)
        carried = torch.zeros_like(starts[0])
        for now, start in reversed(list(zip(_chunks(inputs, ctx.length), starts, strict=True))):
            chunk.states[0] = start
            chunk.run(inputs.step[now], gain[now], inputs.into[now])
            gradients.sweep(grad[now], inputs.out[now], carried)
            gradients.collect(now, grad[now], gain[now])
        return None, *gradients.finished()


def _forward(inputs: ScanInputs, length: int, starts: Tensor | None) -> Tensor:
    """The output; the state before every chunk goes into ``starts``."""
    gain = inputs.step * inputs.u
    y = torch.empty_like(inputs.u)
    chunk = Chunk(inputs.decay, length)
    chunk.states[0] = 0
    for number, now in enumerate(_chunks(inputs, length)):
        if starts is not None:
            starts[number] = chunk.states[0]
        chunk.run(inputs.step[now], gain[now], inputs.into[now])
        chunk.read(inputs.out[now], y[now])
        chunk.states[0] = chunk.states[now.stop - now.start]
    return y


def _chunks(inputs: ScanInputs, length: int) -> list[slice]:
    end = len(inputs.u)
    return [slice(start, min(start + length, end)) for start in range(0, end, length)]

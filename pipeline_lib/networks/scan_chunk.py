"""One chunk of time of a selective scan: what its states are, and what its gradients are.

All arrays are time-major, so that a step reads and writes contiguous memory, and channels come
last, so that every product of a chunk runs along them. The loop over time holds one fused
multiply-add a step; everything else is done for the whole chunk at once.
"""

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor

# Decays are powers of two: torch's exp2 is vectorised by itself, while its exp goes through MKL,
# which takes four times as long on processors that are not Intel's.
LOG2_E = 1 / math.log(2)


class ScanInputs(NamedTuple):
    """What the scan of R independent rows starts from; contiguous, all of one floating type.

    Attributes:
        step: [L, R, D]: the step sizes, positive.
        u: [L, R, D]: the input.
        decay: [R, N, D]: A, transposed. The only one that may be an expanded view.
        into: [L, R, N]: B, how the input enters the states.
        out: [L, R, N]: C, how the states are read.
    """

    step: Tensor
    u: Tensor
    decay: Tensor
    into: Tensor
    out: Tensor

    def split(self, rows: int) -> list[Self]:
        """The same in parts of at most ``rows`` rows."""
        if rows >= len(self.decay):
            return [self]
        step, u, into, out = (
            [part.contiguous() for part in x.split(rows, dim=1)]
            for x in (self.step, self.u, self.into, self.out)
        )
        parts = zip(step, u, self.decay.split(rows), into, out, strict=True)
        return [type(self)(*part) for part in parts]

    def wants_gradient(self) -> bool:
        """Whether a backward pass can follow."""
        return torch.is_grad_enabled() and any(x.requires_grad for x in self)


class Chunk:
    """Decays and states of T steps, in memory that all chunks of a scan use in turn.

    Args:
        decay: [R, N, D].
        length: T; a chunk may have fewer steps.

    Attributes:
        power: [R, N, D]: the logarithm to base 2 of the decay of a step of size 1.
        decays: [T, R, N, D].
        states: [T + 1, R, N, D]: the state before the chunk, and that after each step.
        each_decay: ``decays``, step by step: taking them apart costs as much as a small step.
    """

    def __init__(self, decay: Tensor, length: int) -> None:
        self.power = decay * LOG2_E
        self.decays = decay.new_empty(length, *decay.shape)
        self.states = decay.new_empty(length + 1, *decay.shape)
        self.each_decay = self.decays.unbind()
        self._each_state = self.states.unbind()

    def run(self, step: Tensor, gain: Tensor, into: Tensor) -> None:
        """Take n steps from ``states[0]``: ``step``, ``gain`` [n, R, D], ``into`` [n, R, N]."""
        n = len(step)
        torch.mul(step.unsqueeze(2), self.power, out=self.decays[:n]).exp2_()
        torch.mul(gain.unsqueeze(2), into.unsqueeze(3), out=self.states[1 : n + 1])
        state = self._each_state[0]
        for decay, following in zip(self.each_decay[:n], self._each_state[1:], strict=False):
            state = following.addcmul_(decay, state)

    def read(self, out: Tensor, y: Tensor) -> None:
        """Write ``y`` [n, R, D], which ``out`` [n, R, N] reads from the states."""
        torch.bmm(_row(out), self.states[1 : len(out) + 1].flatten(0, 1), out=_row(y))


class ChunkGradients:
    """Gradients of the steps of a chunk.

    Args:
        chunk: Its states; its decays are overwritten by :meth:`collect`.
        inputs: Those of the whole scan.

    Attributes:
        states: [T, R, N, D]: gradients of the states.
        total: Gradients of all inputs, whole once every chunk was collected and the last one
            was finished.
    """

    def __init__(self, chunk: Chunk, inputs: ScanInputs) -> None:
        self.states = torch.empty_like(chunk.decays)
        self.total = ScanInputs(*(x.new_empty(x.shape) for x in inputs))
        self._chunk = chunk
        self._inputs = inputs
        self._each_state = self.states.unbind()
        self._decay = torch.zeros_like(chunk.decays)

    def sweep(self, grad: Tensor, out: Tensor, carried: Tensor) -> None:
        """Set ``states`` of n steps, from the last one to the first.

        Args:
            grad: [n, R, D], of the output.
            out: [n, R, N].
            carried: [R, N, D]: what the chunk behind adds to the last state; becomes what this
                one adds to the chunk before.
        """
        n = len(grad)
        torch.mul(grad.unsqueeze(2), out.unsqueeze(3), out=self.states[:n])
        decays, states = self._chunk.each_decay, self._each_state
        after = states[n - 1].add_(carried)
        for t in range(n - 2, -1, -1):
            after = states[t].addcmul_(decays[t + 1], after)
        torch.mul(decays[0], after, out=carried)

    def collect(self, now: slice, grad: Tensor, gain: Tensor) -> None:
        """Gradients of the inputs at the times ``now``: ``grad`` and ``gain`` [n, R, D]."""
        step, into = self._inputs.step[now], self._inputs.into[now]
        n = len(grad)
        a, h, g = self._chunk.decays[:n], self._chunk.states[: n + 1], self.states[:n]
        flat = g.flatten(0, 1)
        # A row times a transposed matrix: the same matrix times a column takes ten times as long.
        torch.bmm(_row(grad), h[1:].flatten(0, 1).mT, out=_row(self.total.out[now]))
        torch.bmm(_row(gain), flat.mT, out=_row(self.total.into[now]))
        torch.bmm(_row(into), flat, out=_row(self.total.u[now]))
        a.mul_(g).mul_(h[:-1])
        self._decay[:n].addcmul_(a, step.unsqueeze(2))
        torch.sum(a.mul_(self._inputs.decay), dim=2, out=self.total.step[now])

    def finished(self) -> ScanInputs:
        """``total``, once all chunks are collected."""
        # So far the gradient of the input is that of step * input.
        self.total.step.addcmul_(self.total.u, self._inputs.u)
        self.total.u.mul_(self._inputs.step)
        torch.sum(self._decay, dim=0, out=self.total.decay)
        return self.total


def _row(x: Tensor) -> Tensor:
    """[n, R, K] as n * R matrices of one row."""
    return x.flatten(0, 1).unsqueeze(1)

"""Optimizer steps of processes that train one model together."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pipeline_lib.runtime.distributed import Group

# Fine-tuning has few steps, and torch's 0.999 remembers a thousand. The larger epsilon is
# open_clip's for transformers: with torch's, rounding decides the way of weights that hardly
# matter.
_BETAS, _EPSILON = (0.9, 0.98), 1e-6


class Updates:
    """AdamW on a model of which every process of a group holds a copy.

    Every process leaves a part of the gradient in the parameters; their sum is the gradient, and
    all do the same step along it.

    Args:
        parameters: All that is trained, in the same order in every process.
        groups: The same with rates and decay, as ``torch.optim`` wants them.
        group: The processes.
        clip_grad_norm: Longest gradient; ``None`` leaves it as it is.
        fp16: Whether the forward pass is in fp16, whose small gradients need scaling.
        betas: AdamW's, by default those of a fine-tuning of few steps.
        epsilon: AdamW's.

    Attributes:
        optimizer: Whose groups have the rate of the next step.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        groups: list[dict[str, Any]],
        group: Group,
        *,
        clip_grad_norm: float | None,
        fp16: bool = False,
        betas: tuple[float, float] = _BETAS,
        epsilon: float = _EPSILON,
    ) -> None:
        self._parameters, self._group = list(parameters), group
        self._longest = clip_grad_norm or math.inf
        self.optimizer = torch.optim.AdamW(groups, betas=betas, eps=epsilon, fused=True)
        self._scaler = torch.amp.GradScaler(group.device.type, enabled=fp16)

    def start(self) -> None:
        """Forget the last step's gradient."""
        self.optimizer.zero_grad()

    def scaled(self, loss: Tensor) -> Tensor:
        """What to take the gradient of instead of ``loss``."""
        return self._scaler.scale(loss)

    def finish_gradient(self, count: int) -> None:
        """From the group's parts of a sum over ``count`` things to the gradient of their mean."""
        for parameter in self._parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        self._group.sum_in_place(gradients)
        self._scaler.unscale_(self.optimizer)
        torch._foreach_div_(gradients, count)

    def step(self) -> float:
        """One step along the finished gradient.

        Returns:
            Its length before it was clipped. Infinite where fp16 tried a scale that is too large;
            such a step is left out.
        """
        length = float(torch.nn.utils.clip_grad_norm_(self._parameters, self._longest))
        self._scaler.step(self.optimizer)
        self._scaler.update()
        # The fused AdamW writes past the counters by which others see that a tensor has changed.
        torch.autograd.graph.increment_version(self._parameters)
        return length

    def state(self) -> dict[str, Any]:
        """Moments, and the scale of fp16."""
        return {"optimizer": self.optimizer.state_dict(), "scaler": self._scaler.state_dict()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a state of :meth:`state`."""
        self.optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])


def backward_shared(
    loss: Tensor, leaves: Sequence[Tensor], own: Sequence[Tensor], group: Group
) -> None:
    """Add the gradient of a loss that all processes have worked out from features of them all.

    What each process adds is a part: the sum over the group is the gradient, of the networks
    behind the features and of all else that the loss depends on.

    Args:
        loss: The same in every process.
        leaves: What the loss was worked out from, each [n, …] with all rows, cut off from the
            networks that made them.
        own: Of each leaf the rows that this process made, with their graph.
        group: The processes.
    """
    # Scale, bias and heads are in everyone's loss; only the first process counts them.
    loss.backward(inputs=None if group.is_main else list(leaves))
    parts = [leaf.grad[group.share(len(leaf))] for leaf in leaves if leaf.grad is not None]
    graphs = [(rows, part) for rows, part in zip(own, parts, strict=True) if rows.requires_grad]
    if graphs:
        torch.autograd.backward([rows for rows, _ in graphs], [part for _, part in graphs])

"""Learning rates as functions of the epoch or the step: nothing to save, nothing to stack."""

import math


def warmup_cosine(
    epoch: int, *, lr: float, epochs: int, warmup_epochs: int, warmup_lr: float
) -> float:
    """CoOp's schedule: constant through the warm-up, then a cosine over *all* epochs.

    The cosine's period is the full number of epochs, not what is left after the warm-up, so the
    last rate is above zero; that is how the published runs were made
    (github.com/KaiyangZhou/Dassl.pytorch, cosine annealing behind a constant warm-up).

    Args:
        epoch: From 1; the rate holds for the whole epoch.
        lr: Rate of the first epoch after the warm-up, the largest.
        epochs: Planned number of epochs.
        warmup_epochs: May be 0, and may exceed ``epochs``.
        warmup_lr: Rate during the warm-up.
    """
    if epoch <= warmup_epochs:
        return warmup_lr
    return 0.5 * lr * (1 + math.cos(math.pi * (epoch - warmup_epochs - 1) / epochs))


def linear_cosine(
    step: int, *, lr: float, steps: int, warmup_steps: int, warmup_lr: float, min_lr: float = 0.0
) -> float:
    """A linear rise through the warm-up, then a cosine that reaches its end where training ends.

    Args:
        step: From 0, over all epochs.
        lr: Rate at the end of the warm-up, the largest.
        steps: Planned number of steps.
        warmup_steps: May be 0, and may be ``steps`` or more: then the rate only rises.
        warmup_lr: Rate of the first step.
        min_lr: Where the cosine ends.
    """
    if step < warmup_steps:
        return warmup_lr + (lr - warmup_lr) * step / warmup_steps
    angle = math.pi * (step - warmup_steps) / (steps - warmup_steps)
    return min_lr + 0.5 * (lr - min_lr) * (1 + math.cos(angle))


def warmed_cosine(step: int, *, lr: float, steps: int, warmup_ratio: float) -> float:
    """:func:`linear_cosine` with a warm-up of a share of the steps.

    No step of the training has a rate of 0, so none is wasted.

    Args:
        step: From 0, over all epochs.
        lr: The largest rate.
        steps: Planned number of steps.
        warmup_ratio: The share, in [0, 1].
    """
    warmup = round(warmup_ratio * steps)
    return linear_cosine(step, lr=lr, steps=steps, warmup_steps=warmup, warmup_lr=lr / (warmup + 1))

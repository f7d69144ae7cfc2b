"""The order of the training captions in an epoch."""

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.metrics.retrieval import cosines
from pipeline_lib.runtime.seeding import numpy_stream
from pipeline_lib.trainers.tempme_stop.batches import Pairs

# Captions among which alike ones are looked for: their cosines take 64 MB.
_POOL = 4096


def mixed(n: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """All captions in random order, int64 [n]."""
    return numpy_stream(seed, "tempme_stop", "order", epoch).permutation(n).astype(np.int64)


def alike_together(
    order: NDArray[np.int64],
    vectors: NDArray[np.float32],
    pairs: Pairs,
    alike: int,
    seed: int,
    epoch: int,
) -> NDArray[np.int64]:
    """``order`` with captions brought together that are hard to tell apart.

    The first caption that is left draws those most like it, none of which belongs to a video of
    another one of the group: such captions are no negatives. Groups then stand in random order.

    Args:
        order: int64 [n], captions in random order, which decides who draws first.
        vectors: [all captions, D], of length 1.
        pairs: What belongs together.
        alike: Captions of a group.
        seed: Of the training.
        epoch: Of the training.
    """
    groups: list[NDArray[np.int64]] = []
    for start in range(0, len(order), _POOL):
        groups += _groups(order[start : start + _POOL], vectors, pairs, alike)
    stream = numpy_stream(seed, "tempme_stop", "groups", epoch)
    return np.concatenate([groups[k] for k in stream.permutation(len(groups))])


def _groups(
    pool: NDArray[np.int64], vectors: NDArray[np.float32], pairs: Pairs, alike: int
) -> list[NDArray[np.int64]]:
    likeness = cosines(vectors[pool], vectors[pool])
    left = np.ones(len(pool), dtype=bool)
    groups = []
    for first in range(len(pool)):
        if not left[first]:
            continue
        members, free = [first], left.copy()
        while True:
            free &= ~pairs.related(pool, pool[members[-1]])
            left[members[-1]] = free[members[-1]] = False
            if len(members) == alike or not free.any():
                break
            members.append(int(np.where(free, likeness[first], -np.inf).argmax()))
        groups.append(pool[members])
    return groups

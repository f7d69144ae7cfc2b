"""Items together: their distinct captions and frames, and which belong to which."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline_lib.trainers.pos_neg.data import Item
from pipeline_lib.trainers.pos_neg.losses import MINED, OTHER, POSITIVE


@dataclass(frozen=True, kw_only=True)
class Batch:
    """B items with C distinct captions and F distinct frames; everything is on the CPU.

    Attributes:
        captions: Indices of the captions, int64 [C].
        frames: Indices of the frames, int64 [F].
        row_of_item: Row of each item's caption, int64 [B].
        own: 1 for an item's own true frames, 2 for its own mined negatives, else 0; int8 [B, F].
        relation: What each frame is to each caption, int8 [C, F]: 1 a true frame of an item with
            this caption, else 2 a mined negative of one, else 3 a true frame of any other item,
            else 0. A negative was compared with the true frames of its own item alone, so it says
            nothing about another caption.
    """

    captions: NDArray[np.int64]
    frames: NDArray[np.int64]
    row_of_item: Tensor
    own: Tensor
    relation: Tensor


def make_batch(items: Sequence[Item]) -> Batch:
    """The batch of ``items``, which are not empty."""
    captions, rows = np.unique([item.caption for item in items], return_inverse=True)
    frames = np.unique([frame for item in items for frame in (*item.true, *item.negative)])
    own = np.zeros((len(items), len(frames)), dtype=np.int8)
    for row, item in zip(own, items, strict=True):
        row[np.searchsorted(frames, item.negative)] = MINED
        row[np.searchsorted(frames, item.true)] = POSITIVE
    return Batch(
        captions=captions.astype(np.int64),
        frames=frames.astype(np.int64),
        row_of_item=torch.from_numpy(rows),
        own=torch.from_numpy(own),
        relation=torch.from_numpy(_relation(own, rows, len(captions))),
    )


def batches_of(items: Sequence[Item], size: int) -> Iterator[Batch]:
    """``items`` in their order, ``size`` at a time; the last batch may be smaller."""
    for start in range(0, len(items), size):
        yield make_batch(items[start : start + size])


def _relation(own: NDArray[np.int8], rows: NDArray[np.intp], captions: int) -> NDArray[np.int8]:
    relation = np.zeros((captions, own.shape[1]), dtype=np.int8)
    relation[:, (own == POSITIVE).any(axis=0)] = OTHER
    for wanted in (MINED, POSITIVE):
        item, frame = np.nonzero(own == wanted)
        relation[rows[item], frame] = wanted
    return relation

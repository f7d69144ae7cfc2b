"""Training clips of masked pretraining: who sees which, and their views, made ahead."""

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline_lib.datasets.video_clips.augment import PretrainView
from pipeline_lib.datasets.video_clips.loading import prefetched
from pipeline_lib.runtime.distributed import Group
from pipeline_lib.runtime.seeding import numpy_stream
from pipeline_lib.trainers.videomamba.splits import Clips

NAME = "videomamba_pretrain"


@dataclass(frozen=True)
class Planned:
    """Clips of one forward pass of all processes together.

    Attributes:
        number: Of the batch in its epoch, from 0.
        clips: Their rows, int64 [n].
    """

    number: int
    clips: NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """This process's share of a batch, on the CPU.

    Attributes:
        planned: The whole batch.
        places: Where in it these clips are, int64 [b]; may be empty.
        views: fp32 [b, 3, T, S, S], normalised.
    """

    planned: Planned
    places: NDArray[np.int64]
    views: Tensor

    @property
    def clips(self) -> NDArray[np.int64]:
        """Rows of these clips, int64 [b]."""
        return self.planned.clips[self.places]


class PretrainBatches:
    """The training clips of an epoch, each with random frames, in a random view.

    What is drawn depends on seed, epoch and clip alone, never on the processes or threads.

    Args:
        clips: The training split.
        view: What is done to a clip.
        batch_size: Clips in one batch of all processes.
        accumulate: Batches in one step.
        seed: Of all draws.
        workers: Threads that make views; 0 makes them where they are used.
        group: The processes.
    """

    def __init__(
        self,
        clips: Clips,
        view: PretrainView,
        *,
        batch_size: int,
        accumulate: int,
        seed: int,
        workers: int,
        group: Group,
    ) -> None:
        self._clips, self._view, self._seed = clips, view, seed
        self._batch_size, self._accumulate = batch_size, accumulate
        self._workers, self._group = workers, group

    @property
    def steps(self) -> int:
        """Optimizer steps in an epoch; the last one may be of fewer clips."""
        return math.ceil(len(self._clips.items) / (self._batch_size * self._accumulate))

    def plan(self, epoch: int) -> list[list[Planned]]:
        """The batches of each step, in an order that ``epoch`` draws."""
        order = numpy_stream(self._seed, NAME, "order", epoch).permutation(len(self._clips.items))
        batches = [
            Planned(number, order[start : start + self._batch_size].astype(np.int64))
            for number, start in enumerate(range(0, len(order), self._batch_size))
        ]
        return [
            batches[start : start + self._accumulate]
            for start in range(0, len(batches), self._accumulate)
        ]

    def load(self, batches: Sequence[Planned], epoch: int) -> Generator[Batch]:
        """This process's share of each of ``batches``, the next ones made while one is used."""
        places = [self._places(batch) for batch in batches]
        own = [batch.clips[at].tolist() for batch, at in zip(batches, places, strict=True)]
        rows = (row for of_batch in own for row in of_batch)
        made = prefetched(rows, partial(self._make, epoch), self._workers)
        for batch, at in zip(batches, places, strict=True):
            views = [next(made) for _ in at]
            yield Batch(batch, at, torch.stack(views) if views else torch.empty(0))

    def _places(self, batch: Planned) -> NDArray[np.int64]:
        return np.arange(len(batch.clips), dtype=np.int64)[self._group.share(len(batch.clips))]

    def _make(self, epoch: int, row: int) -> Tensor:
        def stream(purpose: str) -> np.random.Generator:
            return numpy_stream(self._seed, NAME, purpose, epoch, row)

        store = self._clips.store
        frames = store.read(row, store.train_indices(row, stream("frames")))
        return self._view(frames, stream("view"))

"""Clips of a training together: who sees which, and the views that are made of them ahead."""

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline_lib.datasets.video_clips.augment import TrainView
from pipeline_lib.datasets.video_clips.loading import prefetched
from pipeline_lib.runtime.distributed import Group
from pipeline_lib.runtime.seeding import numpy_stream, torch_stream
from pipeline_lib.trainers.videomamba.splits import Clips


@dataclass(frozen=True)
class Planned:
    """Clips of one forward pass of all processes together.

    Attributes:
        number: Of the batch in its epoch, from 0.
        clips: Their rows, int64 [n].
        repeats: Views of each clip, which stand side by side.
    """

    number: int
    clips: NDArray[np.int64]
    repeats: int

    @property
    def views(self) -> int:
        """How many there are, of all clips."""
        return len(self.clips) * self.repeats

    def own(self, group: Group) -> NDArray[np.int64]:
        """The views that this process makes, int64, ascending.

        A view is mixed with the one as far from the other end of the batch. Each process has
        whole pairs, so it mixes its views by itself, as one process mixes all of them.
        """
        share = group.share(math.ceil(self.views / 2))
        front = np.arange(share.start, share.stop, dtype=np.int64)
        back = self.views - 1 - front[::-1]
        return np.concatenate([front, back[back > front[-1]]]) if len(front) else front


@dataclass(frozen=True)
class Batch:
    """This process's share of a batch; everything is on the CPU.

    Attributes:
        planned: The whole batch.
        rows: Which of its views these are, int64 [v], ascending.
        views: fp32 [v, 3, T, S, S], normalised.
        labels: Of the clips, int64 or fp32 [v].
    """

    planned: Planned
    rows: NDArray[np.int64]
    views: Tensor
    labels: Tensor


@dataclass(frozen=True)
class _Job:
    clip: int
    epoch: int
    repeats: tuple[int, ...]


class TrainBatches:
    """The training clips of an epoch, each with random frames, in random views.

    What is drawn depends on seed, epoch and clip alone, never on the processes or threads.

    Args:
        clips: The training split.
        view: What is done to a clip.
        batch_size: Clips in one batch.
        accumulate: Batches in one step.
        repeats: Views of a clip in its batch.
        seed: Of all draws.
        workers: Threads that make views; 0 makes them where they are used.
        group: The processes.
    """

    def __init__(
        self,
        clips: Clips,
        view: TrainView,
        *,
        batch_size: int,
        accumulate: int,
        repeats: int,
        seed: int,
        workers: int,
        group: Group,
    ) -> None:
        self._clips, self._view, self._repeats = clips, view, repeats
        self._batch_size, self._accumulate = batch_size, accumulate
        self._seed, self._workers, self._group = seed, workers, group
        self._labels = label_tensor(clips)

    @property
    def steps(self) -> int:
        """Optimizer steps in an epoch; the last one may be of fewer clips."""
        return math.ceil(len(self._clips.items) / (self._batch_size * self._accumulate))

    def plan(self, epoch: int) -> list[list[Planned]]:
        """The batches of each step, in an order that ``epoch`` draws."""
        stream = torch_stream(self._seed, "videomamba", "order", epoch)
        order = torch.randperm(len(self._clips.items), generator=stream).numpy()
        batches = [
            Planned(number, order[start : start + self._batch_size], self._repeats)
            for number, start in enumerate(range(0, len(order), self._batch_size))
        ]
        return [
            batches[start : start + self._accumulate]
            for start in range(0, len(batches), self._accumulate)
        ]

    def load(self, batches: Sequence[Planned], epoch: int) -> Generator[Batch]:
        """This process's views of ``batches``, the next ones made while one is used."""
        rows = [batch.own(self._group) for batch in batches]
        jobs = [self._jobs(batch, own, epoch) for batch, own in zip(batches, rows, strict=True)]
        made = prefetched((job for of_batch in jobs for job in of_batch), self._make, self._workers)
        for batch, own, of_batch in zip(batches, rows, jobs, strict=True):
            views = [view for _ in of_batch for view in next(made)]
            labels = self._labels[torch.from_numpy(batch.clips[own // self._repeats])]
            yield Batch(batch, own, torch.stack(views) if views else torch.empty(0), labels)

    def _jobs(self, batch: Planned, own: NDArray[np.int64], epoch: int) -> list[_Job]:
        """Views of one clip are made together, from frames that are decoded once."""
        return [
            _Job(int(batch.clips[place]), epoch, tuple(row % self._repeats for row in rows))
            for place, rows in groupby(own.tolist(), lambda row: row // self._repeats)
        ]

    def _make(self, job: _Job) -> list[Tensor]:
        names = (self._seed, "videomamba")
        store = self._clips.store
        drawn = store.train_indices(job.clip, numpy_stream(*names, "frames", job.epoch, job.clip))
        frames = store.read(job.clip, drawn)
        return [
            self._view(frames, numpy_stream(*names, "view", job.epoch, job.clip, repeat))
            for repeat in job.repeats
        ]


def label_tensor(clips: Clips) -> Tensor:
    """Classes int64 [n], or values fp32 [n], of a split."""
    labels = [item.label for item in clips.items]
    return torch.tensor(labels, dtype=torch.float32 if clips.listed.classes is None else None)

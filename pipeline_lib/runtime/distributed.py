"""Several processes that train one model, as ``torchrun`` starts them."""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from pipeline_lib.errors import EXIT_BUG, EXIT_USER, CliplineError, ConfigError
from pipeline_lib.runtime.device import choose_device

T = TypeVar("T")

# Others wait while the first process reads pictures or writes models. One that died ends all
# through torchrun, whatever this is.
_PATIENCE = timedelta(days=1)
# Between the first process that fails, which says why, and the end of the others.
_GRACE_S = 20.0
# Gradients are added up in pieces of this many numbers: one message each, 64 MB in fp32.
_BUCKET = 1 << 24


class Group:
    """The processes of one training; a group of one does without ``torch.distributed``.

    Attributes:
        device: Of this process.
        rank: Number of this process, from 0.
        world: Number of processes.
    """

    def __init__(self, device: torch.device, rank: int = 0, world: int = 1) -> None:
        self.device, self.rank, self.world = device, rank, world

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes and reports."""
        return self.rank == 0

    def share(self, n: int) -> slice:
        """The contiguous part of ``n`` things that this process works on; may be empty."""
        return slice(*self._bounds(n)[self.rank : self.rank + 2])

    def barrier(self) -> None:
        """Wait until all have come here."""
        if self.world > 1:
            dist.barrier()

    def gather_rows(self, own: Tensor, n: int) -> Tensor:
        """The rows of all processes, in order, without gradient.

        Args:
            own: The rows [share of n, …] of this process.
            n: How many rows all have together.

        Returns:
            [n, …] on every process.
        """
        own = own.detach()
        if self.world == 1:
            return own
        bounds = self._bounds(n)
        lengths = [end - start for start, end in pairwise(bounds)]
        padded = own.new_zeros(max(lengths), *own.shape[1:])
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in lengths]
        dist.all_gather(parts, padded)
        return torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)])

    def sum_in_place(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes; all of one dtype and device."""
        if self.world == 1:
            return
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            dist.all_reduce(flat)
            for tensor, part in zip(bucket, flat.split([t.numel() for t in bucket]), strict=True):
                tensor.copy_(part.view_as(tensor))

    def from_main(self, value: T) -> T:
        """The first process's ``value``, so that all decide alike."""
        if self.world == 1:
            return value
        box: list[Any] = [value]
        dist.broadcast_object_list(box, src=0)
        shared: T = box[0]
        return shared

    def _bounds(self, n: int) -> list[int]:
        return [n * rank // self.world for rank in range(self.world + 1)]


ALONE = Group(torch.device("cpu"))


@contextmanager
def joined(device: str) -> Iterator[Group]:
    """A context in which this process belongs to the group that its environment describes.

    Without ``torchrun`` that is a group of one. In a larger one with CUDA each process takes its
    own GPU and the group talks through NCCL, else through gloo. Only the first process logs what
    is no error. An error is raised in the process that meets it first; the others, which can
    only fail for the same reason or for want of that one, end without a word.

    Args:
        device: As for :func:`pipeline_lib.runtime.device.choose_device`.

    Raises:
        ConfigError: No such device, or more processes than GPUs.
        CliplineError: Another process was killed.
    """
    if _launched() == 1:
        yield Group(choose_device(device))
        return
    store, rank, world = next(iter(rendezvous("env://", timeout=_PATIENCE)))
    try:
        group = Group(_own_device(device), rank, world)
        backend = "nccl" if group.device.type == "cuda" else "gloo"
        dist.init_process_group(
            backend, store=store, rank=rank, world_size=world, timeout=_PATIENCE
        )
        with _heard_once(group):
            yield group
            group.barrier()
    except Exception as error:
        if store.add("clipline/failed", 1) > 1:
            # torchrun ends this process as soon as the first one has said why and gone.
            time.sleep(_GRACE_S)
            raise SystemExit(getattr(error, "exit_code", EXIT_BUG)) from None
        if _lost_another(error):
            raise CliplineError(
                "Another process of the training has ended: killed, or out of memory.",
                hint="Start it again in the same way; it goes on after the last finished epoch.",
            ) from None
        raise
    dist.destroy_process_group()


def _lost_another(error: Exception) -> bool:
    """Whether this process could not reach the others, in the words of NCCL or gloo."""
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and "gloo/transport" in str(error)
    )


def require_alone(what: str) -> None:
    """Refuse to be one of several processes that ``torchrun`` started.

    The first one says why; the others wait until ``torchrun`` ends them.

    Args:
        what: For the message: what only one process does.

    Raises:
        ConfigError: There are several.
    """
    world = _launched()
    if world == 1:
        return
    if os.environ["RANK"] != "0":
        time.sleep(_GRACE_S)
        raise SystemExit(EXIT_USER)
    raise ConfigError(
        f"{what} is the work of one process, and torchrun started {world}.",
        hint="Start it without torchrun.",
    )


def _launched() -> int:
    """How many processes ``torchrun`` started; 1 without it."""
    # Not by WORLD_SIZE alone, which clusters set for their own ends.
    return int(os.environ["WORLD_SIZE"]) if dist.is_torchelastic_launched() else 1


def _own_device(name: str) -> torch.device:
    device = choose_device(name)
    if device.type != "cuda":
        return device
    local, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if ":" in name:
        raise ConfigError(
            f"runtime.device = {name!r}: several processes need a GPU each.",
            hint="Use runtime.device: auto.",
        )
    if local >= gpus:
        raise ConfigError(
            f"More processes than GPUs ({gpus}) on this machine.",
            hint=f"Start torchrun with --nproc_per_node={gpus}.",
        )
    own = torch.device("cuda", local)
    torch.cuda.set_device(own)
    return own


@contextmanager
def _heard_once(group: Group) -> Iterator[None]:
    """Keep the others' information and warnings back: they would repeat the first one's."""
    root = logging.getLogger("pipeline_lib")
    level = root.level
    if not group.is_main:
        root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    size = 0
    for tensor in tensors:
        if bucket and size + tensor.numel() > _BUCKET:
            yield bucket
            bucket, size = [], 0
        bucket.append(tensor)
        size += tensor.numel()
    if bucket:
        yield bucket

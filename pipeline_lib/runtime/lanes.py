"""Forward passes side by side."""

import ctypes
import os
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import ParamSpec, TypeVar

import torch

_CUDA_LANES = 2
P = ParamSpec("P")
T = TypeVar("T")


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Lanes:
    """Threads that each run whole forward passes of a frozen network.

    On the CPU there is one lane a core and each computes with one thread: lanes never wait for one
    another inside an operator, as the threads of one forward pass do whenever a decoder takes a
    core from one of them; and results do not depend on the number of cores. On CUDA there are two
    lanes with a stream each, so that one copies while the other computes.

    Use as a context manager; torch's own number of threads is restored behind it.

    Args:
        device: Where the networks run.
        threads: CPU lanes; 0 takes all cores.

    Attributes:
        count: Number of lanes.
    """

    def __init__(self, device: torch.device, threads: int = 0) -> None:
        self._device = device
        self.count = {"cpu": threads or cores(), "cuda": _CUDA_LANES}.get(device.type, 1)
        self._threads_before = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(self.count, "lane", self._begin)

    def submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Run ``function`` in the next free lane."""
        return self._pool.submit(function, *args, **kwargs)

    def __enter__(self) -> "Lanes":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._device.type == "cpu":
            torch.set_num_threads(self._threads_before)
        _give_memory_back()

    def _begin(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.set_stream(torch.cuda.Stream(self._device))
        elif self._device.type == "cpu":
            torch.set_num_threads(1)


def _give_memory_back() -> None:
    """Return what the allocator kept for the lanes' threads, where it can (glibc)."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)

"""Work of a stream done ahead by threads."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import TypeVar

import torch

J = TypeVar("J")
R = TypeVar("R")


def prefetched(jobs: Iterable[J], make: Callable[[J], R], workers: int) -> Iterator[R]:
    """``make`` of each job, in the order of the jobs, some of them ahead of their use.

    At most ``2 * workers`` results wait at a time. An error of ``make`` is raised where its result
    would have come, and nothing behind it is begun any more.

    Args:
        jobs: What is made; taken by the caller's thread alone.
        make: Called by several threads.
        workers: How many; 0 makes each result when it is asked for.

    Yields:
        The results.
    """
    if not workers:
        yield from map(make, jobs)
        return
    source = iter(jobs)
    threads = torch.get_num_threads()  # which also settles that of the caller's thread
    pool = ThreadPoolExecutor(workers, "clips", _compute_alone)
    waiting: deque[Future[R]] = deque()
    try:
        waiting.extend(pool.submit(make, job) for job in islice(source, 2 * workers))
        while waiting:
            result = waiting.popleft().result()
            with suppress(StopIteration):
                waiting.append(pool.submit(make, next(source)))
            yield result
    finally:
        # Also where the caller stops taking results: only what has begun is finished.
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(threads)


def _compute_alone() -> None:
    """Wake no threads of torch for the work of this one: they would only wait for one another."""
    torch.set_num_threads(1)
    torch.get_num_threads()  # a thread's number is settled when it is first asked for

"""Work beside the event loop that queues instead of piling up, and caches that stay small.

Everything here is touched by the event loop's thread only, so it needs no locks.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, ParamSpec, TypeVar

from pipeline_lib.serving.refusal import RefusalError

P = ParamSpec("P")
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Bounded:
    """A few threads, and a queue before them that has an end.

    Args:
        name: Of the threads.
        threads: That work at a time.
        waiting: Most calls at a time, those at work included; more are refused.
    """

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, name)
        self._most, self._now = waiting, 0

    async def run(self, work: Callable[P, V], *args: P.args, **kwargs: P.kwargs) -> V:
        """The result of ``work`` in one of the threads.

        Raises:
            RefusalError: 503, too many calls are waiting.
        """
        if self._now >= self._most:
            raise busy()
        future = self._pool.submit(work, *args, **kwargs)
        self._now += 1
        # A caller that goes takes its call out of the queue, so it no longer counts either.
        waited = asyncio.wrap_future(future)
        waited.add_done_callback(self._done)
        return await waited

    def _done(self, _: object) -> None:
        self._now -= 1

    def close(self) -> None:
        """Forget what has not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def busy() -> RefusalError:
    """The answer to a request that would wait too long."""
    return RefusalError(
        503,
        "Too many requests are waiting.",
        hint="Try again in a few seconds.",
        kind="busy",
        headers={"Retry-After": "2"},
    )


class Remembered(Generic[K, V]):
    """Results of the last calls; equal calls at a time share one result.

    Args:
        most: Sum of the sizes of all that is kept, at most.
        size: Of a result; by default 1, so that ``most`` is their number.
    """

    def __init__(self, most: int, size: Callable[[V], int] = lambda _: 1) -> None:
        self._most, self._size, self._held = most, size, 0
        self._kept: OrderedDict[K, V] = OrderedDict()
        self._made: dict[K, asyncio.Future[V]] = {}

    @property
    def held(self) -> int:
        """Sum of the sizes of all that is kept."""
        return self._held

    async def get(self, key: K, make: Callable[[], Awaitable[V]]) -> V:
        """The result for ``key``, made where it is not kept; a failure is not kept."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if key not in self._made:
            task = asyncio.ensure_future(make())
            self._made[key] = task
            task.add_done_callback(lambda done: self._finish(key, done))
        # One caller that goes away must not end what the others wait for.
        return await asyncio.shield(self._made[key])

    def _finish(self, key: K, done: "asyncio.Future[V]") -> None:
        del self._made[key]
        if done.cancelled() or done.exception() is not None:
            return
        self._kept[key] = done.result()
        self._held += self._size(done.result())
        while self._held > self._most:
            self._held -= self._size(self._kept.popitem(last=False)[1])

import asyncio
import threading

import pytest
import torch

from pipeline_lib.errors import WeightsError
from pipeline_lib.serving.bounded import Bounded, Remembered
from pipeline_lib.serving.encoder import AT_ONCE, QueryEncoder
from pipeline_lib.serving.refusal import RefusalError
from tests.retrieval.number_model import NumberModel


def test_a_burst_queues_and_its_end_is_refused():
    at_work, most, go = [0], [0], threading.Event()
    lock = threading.Lock()

    def work(number: int) -> int:
        with lock:
            at_work[0] += 1
            most[0] = max(most[0], at_work[0])
        go.wait(10)
        with lock:
            at_work[0] -= 1
        return number

    async def burst() -> list[object]:
        pool = Bounded("test", 2, 50)
        calls = [asyncio.ensure_future(pool.run(work, number)) for number in range(60)]
        await asyncio.sleep(0.05)
        go.set()
        results = await asyncio.gather(*calls, return_exceptions=True)
        # There is room again.
        assert await pool.run(work, 7) == 7
        pool.close()
        return results

    results = asyncio.run(burst())
    assert results[:50] == list(range(50))
    assert all(isinstance(one, RefusalError) and one.status == 503 for one in results[50:])
    assert results[50].headers["Retry-After"]
    assert most[0] == 2


def test_equal_calls_share_a_result_and_a_failure_is_not_kept():
    made = []

    async def scenario() -> None:
        kept: Remembered[str, bytes] = Remembered(10, len)

        def make(name: str, size: int, error: Exception | None = None):
            async def work() -> bytes:
                made.append(name)
                await asyncio.sleep(0.01)
                if error:
                    raise error
                return bytes(size)

            return work

        both = await asyncio.gather(*(kept.get("a", make("a", 4)) for _ in range(5)))
        assert (both, made) == ([bytes(4)] * 5, ["a"])
        with pytest.raises(ValueError, match="no"):
            await kept.get("b", make("b", 1, ValueError("no")))
        await kept.get("b", make("b", 5))
        assert made == ["a", "b", "b"]
        assert kept.held == 9
        await kept.get("a", make("a", 4))  # now b is the one that was used longest ago
        await kept.get("c", make("c", 6))
        assert kept.held == 10
        await kept.get("a", make("a", 4))
        assert made == ["a", "b", "b", "c"]
        await kept.get("huge", make("huge", 11))
        assert kept.held == 0

    asyncio.run(scenario())


def test_a_caller_that_leaves_ends_nothing_for_the_others():
    async def scenario() -> None:
        kept: Remembered[str, int] = Remembered(10)
        go = asyncio.Event()

        async def work() -> int:
            await go.wait()
            return 5

        leaving = asyncio.ensure_future(kept.get("a", work))
        staying = asyncio.ensure_future(kept.get("a", work))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.sleep(0)
        go.set()
        assert await staying == 5

    asyncio.run(scenario())


class WatchedModel(NumberModel):
    """Tells what goes through it together, and never two passes at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []
        self.alone = threading.Lock()

    def encode_texts(self, texts):
        assert self.alone.acquire(blocking=False)
        try:
            self.batches.append(len(texts))
            return super().encode_texts(texts)
        finally:
            self.alone.release()


def test_queries_at_a_time_go_through_the_network_together():
    model = WatchedModel()
    queries = [f"frame {number % 90}" for number in range(200)]

    async def scenario() -> list[torch.Tensor]:
        encoder = QueryEncoder(model)
        found = await asyncio.gather(*(encoder.direction(query) for query in queries))
        before = sum(model.batches)
        await encoder.direction("frame 3")
        assert sum(model.batches) == before
        encoder.close()
        return [one.vector for one in found]

    vectors = asyncio.run(scenario())
    expected = NumberModel().encode_texts(queries).numpy()
    assert all((a == b).all() for a, b in zip(vectors, expected, strict=True))
    assert sum(model.batches) == 90  # each text once
    assert max(model.batches) <= AT_ONCE
    assert len(model.batches) <= 6


def test_too_many_different_queries_are_refused(monkeypatch):
    monkeypatch.setattr("pipeline_lib.serving.encoder._WAITING", 5)

    async def scenario() -> None:
        encoder = QueryEncoder(NumberModel())
        found = await asyncio.gather(
            *(encoder.direction(f"frame {n}") for n in range(8)), return_exceptions=True
        )
        refused = [one.status for one in found if isinstance(one, RefusalError)]
        assert refused == [503] * 3
        assert (await encoder.direction("frame 7")).tokens_cut == 0
        encoder.close()

    asyncio.run(scenario())


def test_a_failed_batch_fails_its_queries_and_no_others():
    class Broken(NumberModel):
        broken = True

        def encode_texts(self, texts):
            return super().encode_texts(texts) * (float("nan") if self.broken else 1.0)

    async def scenario() -> None:
        model = Broken()
        encoder = QueryEncoder(model)
        failed = await asyncio.gather(
            *(encoder.direction(f"frame {n}") for n in range(3)), return_exceptions=True
        )
        assert [type(one) for one in failed] == [WeightsError] * 3
        model.broken = False
        assert (await encoder.direction("frame 0")).vector[0] == 1.0
        encoder.close()

    asyncio.run(scenario())

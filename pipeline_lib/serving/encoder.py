"""Queries to vectors: one thread owns the text tower, and what waits goes through it together.

Neither tokenizers nor the network promise to work in several threads at once, and several passes
at a time would only share the same cores. While one batch is computed the next one gathers.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.backbones.caption_length import tokens_cut
from pipeline_lib.backbones.retrieval_model import RetrievalModel
from pipeline_lib.errors import WeightsError
from pipeline_lib.serving.bounded import Remembered, busy

# More at once is hardly faster, and the first of them would wait for the last.
AT_ONCE = 32
_WAITING, _KEPT = 1024, 4096


@dataclass(frozen=True)
class Direction:
    """A query as the index sees it.

    Attributes:
        vector: float32 [D], of length 1.
        tokens_cut: Tokens at its end that the model does not read.
    """

    vector: NDArray[np.float32]
    tokens_cut: int


class QueryEncoder:
    """Embeds queries; used from the event loop only.

    Args:
        model: Nobody else may use it meanwhile.
    """

    def __init__(self, model: RetrievalModel) -> None:
        self._model = model
        self._words = model.tokenizer(["a"]).shape[1]
        self._pool = ThreadPoolExecutor(1, "text")
        self._known: Remembered[str, Direction] = Remembered(_KEPT)
        self._waiting: dict[str, asyncio.Future[Direction]] = {}
        self._drain: asyncio.Task[None] | None = None

    async def direction(self, query: str) -> Direction:
        """The vector of a query.

        Args:
            query: Checked by ``check_query``.

        Raises:
            RefusalError: 503, too many queries are waiting.
            WeightsError: The text tower gives no finite vector.
        """
        return await self._known.get(query, lambda: self._queued(query))

    def close(self) -> None:
        """Forget what has not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _queued(self, query: str) -> Direction:
        if len(self._waiting) >= _WAITING:
            raise busy()
        future = asyncio.get_running_loop().create_future()
        self._waiting[query] = future
        if self._drain is None:
            self._drain = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = [(query, self._waiting[query]) for query in list(self._waiting)[:AT_ONCE]]
            for query, _ in batch:
                del self._waiting[query]
            try:
                texts = [query for query, _ in batch]
                found = await loop.run_in_executor(self._pool, self._encode, texts)
            except Exception as error:  # noqa: BLE001  # each caller gets it, whatever it is
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), direction in zip(batch, found, strict=True):
                if not future.done():
                    future.set_result(direction)
        self._drain = None

    def _encode(self, queries: Sequence[str]) -> list[Direction]:
        vectors = self._model.encode_texts(queries).numpy()
        if not np.isfinite(vectors).all():
            raise WeightsError("The text tower gives no finite embedding; its weights are damaged.")
        return [
            Direction(vector, tokens_cut(self._model.tokenizer, query, self._words))
            for query, vector in zip(queries, vectors, strict=True)
        ]

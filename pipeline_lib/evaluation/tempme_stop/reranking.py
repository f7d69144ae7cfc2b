"""The best candidates of a query in a new order."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.runtime.progress import SILENT, Progress


class PairScorer(Protocol):
    """Scores that are too dear for all candidates."""

    def __call__(self, query: int, candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """Float [m] of one query with each of m candidates."""


def rerank(
    similarity: NDArray[np.floating], score: PairScorer, best: int, progress: Progress = SILENT
) -> NDArray[np.float64]:
    """Put the ``best`` candidates of each query into the order of other scores.

    Args:
        similarity: [queries, candidates]; says which are the best. Of equal ones the first.
        score: The other scores.
        best: How many candidates of a query it is asked about.
        progress: Told of each query.

    Returns:
        [queries, candidates]: the new scores shifted above all similarities of their row, and the
        other candidates' similarities as they were.
    """
    result = np.array(similarity, dtype=np.float64)
    with progress.task("rerank", len(result)) as advance:
        for query, row in enumerate(result):
            order = np.argsort(-row, kind="stable").astype(np.int64)
            chosen, others = order[:best], row[order[best:]]
            scores = score(query, chosen).astype(np.float64)
            floor = others.max() if len(others) else 0.0
            row[chosen] = floor + 1.0 + scores - scores.min()
            advance()
    return result

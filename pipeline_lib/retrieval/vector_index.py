"""Searching the embeddings of many videos: exact for a few, quantised and re-scored for many."""

from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from pipeline_lib.errors import DataError
from pipeline_lib.runtime.seeding import numpy_stream
from pipeline_lib.storage.atomic import replacing

VECTORS, QUANTISED = "vectors.npy", "vectors.faiss"
# Up to here a look at every vector takes a few milliseconds.
EXACT_UP_TO = 50_000
_CHUNK = 16_384
# Dimensions that one code of four bits stands for, and vectors the codes are learned from.
_DIMS_A_CODE = 2
_TRAINED_ON = 100_000
# Candidates a wanted vector gets, and their least number; measured by benchmarks/vector_index.py.
_CANDIDATES, _FEWEST_CANDIDATES = 50, 500


@dataclass(frozen=True)
class Hits:
    """What a search found, best first; equal scores in the order of rows.

    Attributes:
        rows: int64 [k], of the stored vectors.
        scores: float64 [k], exact cosines to six decimals.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]


def write_quantised(folder: Path, *, exact_up_to: int = EXACT_UP_TO) -> str:
    """Write what a search needs beside ``vectors.npy``, which is there.

    The same vectors give the same bytes: what is learned is learned from a fixed draw of them.

    Returns:
        ``exact`` or ``quantised``.
    """
    vectors = _vectors(folder)
    n, dim = vectors.shape
    if n <= exact_up_to or dim % _DIMS_A_CODE:
        return "exact"
    # Product quantisation scanned in registers, https://arxiv.org/abs/1704.07355.
    index = faiss.IndexPQFastScan(dim, dim // _DIMS_A_CODE, 4, faiss.METRIC_INNER_PRODUCT)
    drawn = numpy_stream("vector index").permutation(n)[:_TRAINED_ON]
    index.train(np.ascontiguousarray(vectors[np.sort(drawn)]))
    for start in range(0, n, _CHUNK):
        index.add(np.ascontiguousarray(vectors[start : start + _CHUNK]))
    with replacing(folder / QUANTISED) as temporary:
        faiss.write_index(index, str(temporary))
    return "quantised"


class VectorIndex:
    """The vectors of a folder, opened without reading them into memory.

    Args:
        folder: Holds ``vectors.npy`` and, where there are many, ``vectors.faiss``.

    Raises:
        DataError: A file is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.vectors = _vectors(folder)
        path = folder / QUANTISED
        self._quantised = None
        if path.exists():
            self._quantised = _read_quantised(path, *self.vectors.shape)

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def exact(self) -> bool:
        """Whether every vector is looked at."""
        return self._quantised is None

    def search(self, query: NDArray[np.float32], k: int) -> Hits:
        """The ``k`` vectors most similar to a unit vector [D].

        Candidates may come from quantised vectors; their scores are exact.
        """
        if self._quantised is None:
            return self._best(query, k, None)
        wanted = max(_FEWEST_CANDIDATES, _CANDIDATES * k)
        _, [found] = self._quantised.search(query[None], min(wanted, len(self)))
        return self._best(query, k, np.sort(found[found >= 0]))

    def _best(self, query: NDArray[np.float32], k: int, rows: NDArray[np.int64] | None) -> Hits:
        n = len(self) if rows is None else len(rows)
        scores = np.empty(n, dtype=np.float64)
        for start in range(0, n, _CHUNK):
            part = slice(start, start + _CHUNK) if rows is None else rows[start : start + _CHUNK]
            scores[start : start + _CHUNK] = self.vectors[part] @ query
        scores = np.round(scores, 6)
        order = np.argsort(-scores, kind="stable")[:k]
        chosen = order if rows is None else rows[order]
        return Hits(chosen.astype(np.int64), scores[order])


def _vectors(folder: Path) -> NDArray[np.float32]:
    path = folder / VECTORS
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path}: not readable ({error}).", hint="`clipline embed` makes it again."
        ) from None
    if vectors.ndim != 2 or vectors.dtype != np.float32:
        raise DataError(f"{path}: expected float32 [n, D], found {vectors.dtype} {vectors.shape}.")
    return vectors


def _read_quantised(path: Path, n: int, dim: int) -> "faiss.Index":
    try:
        index = faiss.read_index(str(path))
    except RuntimeError as error:
        cause = str(error).strip().splitlines()[-1]
        raise DataError(
            f"{path}: not readable ({cause}).", hint="`clipline embed` makes it again."
        ) from None
    if (index.ntotal, index.d) != (n, dim):
        raise DataError(
            f"{path}: holds {index.ntotal} vectors of {index.d}, {VECTORS} {n} of {dim}.",
            hint="`clipline embed` makes it again.",
        )
    return index

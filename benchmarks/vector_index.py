"""Searching many embeddings on this machine: exact scan beside approximate indexes.

Vectors are drawn from clusters of uneven size around a space of 64 dimensions, as embeddings of
videos lie, or in all directions alike (``--isotropic``), the worst case for any approximation.
Recall is that of the ten best of an exact search; candidates of every approximate index are scored
exactly again, as the library does.
"""

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.common import options, report
from pipeline_lib.retrieval.vector_index import QUANTISED, VECTORS, VectorIndex, write_quantised

DIM, WANTED, CANDIDATES = 512, 10, 1000
_CLUSTERS, _INNER, _CHUNK = 20_000, 64, 50_000
_TRAINED_ON = 100_000
# Factory string, and the lists that a search looks into where it has lists.
OTHERS = (("SQ8", 0), ("IVF1024,SQ8", 96), ("HNSW32", 0), ("PQ128x4fs", 0))

Vectors = NDArray[np.float32]


def main() -> None:
    """Measure."""
    parser = options(__doc__ or "")
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--isotropic", action="store_true")
    parser.add_argument("--others", action="store_true", help="also the indexes not chosen")
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        vectors, queries = _drawn(asked.vectors, asked.queries, Path(folder), asked.isotropic)
        figures = {"vectors": asked.vectors, "dim": DIM, "isotropic": asked.isotropic}
        exact, truth = _exact(Path(folder), queries)
        figures["exact scan"] = exact
        figures["library"] = _library(Path(folder), queries, truth)
        for name, probed in OTHERS if asked.others else ():
            figures[name] = _other(name, probed, vectors, queries, truth)
    report("vector_index", figures, save=asked.save)


def _drawn(n: int, n_queries: int, folder: Path, isotropic: bool) -> tuple[Vectors, Vectors]:
    rng = np.random.default_rng(0)
    basis = rng.standard_normal((_INNER, DIM), dtype=np.float32) / 8
    centres = rng.standard_normal((_CLUSTERS, _INNER), dtype=np.float32)
    weights = 1 / np.arange(1, _CLUSTERS + 1) ** 0.8
    weights /= weights.sum()

    def draw(count: int) -> Vectors:
        rows = rng.standard_normal((count, DIM), dtype=np.float32)
        if not isotropic:
            inner = centres[rng.choice(_CLUSTERS, count, p=weights)]
            inner = inner + 0.7 * rng.standard_normal((count, _INNER), dtype=np.float32)
            rows = inner @ basis + 0.25 * rows
        unit: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit

    path = folder / VECTORS
    vectors = np.lib.format.open_memmap(path, "w+", dtype=np.float32, shape=(n, DIM))
    for start in range(0, n, _CHUNK):
        vectors[start : start + _CHUNK] = draw(min(_CHUNK, n - start))
    vectors.flush()
    return vectors, draw(n_queries)


def _exact(folder: Path, queries: Vectors) -> tuple[dict[str, float], list[set[int]]]:
    index = VectorIndex(folder)
    truth: list[set[int]] = []
    return _timed(queries, lambda query: index.search(query, WANTED).rows, truth), truth


def _library(folder: Path, queries: Vectors, truth: list[set[int]]) -> dict[str, float | str]:
    start = time.perf_counter()
    kind = write_quantised(folder, exact_up_to=0)
    built = time.perf_counter() - start
    index = VectorIndex(folder)
    found: list[set[int]] = []
    times = _timed(queries, lambda query: index.search(query, WANTED).rows, found)
    size = (folder / QUANTISED).stat().st_size / 1e6
    return {"kind": kind, **times, **_quality(found, truth, built, size)}


def _other(
    name: str, probed: int, vectors: Vectors, queries: Vectors, truth: list[set[int]]
) -> dict[str, float]:
    start = time.perf_counter()
    index = faiss.index_factory(DIM, name, faiss.METRIC_INNER_PRODUCT)
    index.train(np.ascontiguousarray(vectors[:_TRAINED_ON]))
    for first in range(0, len(vectors), _CHUNK):
        index.add(np.ascontiguousarray(vectors[first : first + _CHUNK]))
    built = time.perf_counter() - start
    if probed:
        faiss.extract_index_ivf(index).nprobe = probed

    def search(query: Vectors) -> NDArray[np.int64]:
        _, [rows] = index.search(query[None], CANDIDATES)
        rows = rows[rows >= 0]
        best: NDArray[np.int64] = rows[np.argsort(-(vectors[rows] @ query), kind="stable")]
        return best[:WANTED]

    found: list[set[int]] = []
    times = _timed(queries, search, found)
    return {**times, **_quality(found, truth, built, faiss.serialize_index(index).nbytes / 1e6)}


def _timed(
    queries: Vectors, search: Callable[[Vectors], NDArray[np.int64]], found: list[set[int]]
) -> dict[str, float]:
    """Times of single searches, in milliseconds; what they found is appended to ``found``."""
    times = []
    for query in queries:
        start = time.perf_counter()
        rows = search(query)
        times.append(1000 * (time.perf_counter() - start))
        found.append(set(rows.tolist()))
    return {
        "median_ms": round(float(np.median(times)), 1),
        "p95_ms": round(float(np.percentile(times, 95)), 1),
    }


def _quality(
    found: list[set[int]], truth: list[set[int]], built_s: float, size_mb: float
) -> dict[str, float]:
    hits = [len(some & right) / len(right) for some, right in zip(found, truth, strict=True)]
    return {
        "recall_at_10": round(float(np.mean(hits)), 3),
        "build_s": round(built_s, 1),
        "index_mb": round(size_mb, 1),
    }


if __name__ == "__main__":
    main()

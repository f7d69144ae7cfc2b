import numpy as np
import pytest

from pipeline_lib.errors import DataError
from pipeline_lib.retrieval.vector_index import QUANTISED, VECTORS, VectorIndex, write_quantised


def unit(n, dim, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((20, dim))
    rows = centres[rng.integers(0, 20, n)] + 0.5 * rng.standard_normal((n, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def folder(path, vectors):
    path.mkdir(parents=True, exist_ok=True)
    np.save(path / VECTORS, vectors)
    return path


def test_exact(tmp_path):
    vectors = unit(300, 16)
    place = folder(tmp_path / "i", vectors)
    assert write_quantised(place) == "exact"
    index = VectorIndex(place)
    assert (len(index), index.exact) == (300, True)
    for query in unit(5, 16, 1):
        hits = index.search(query, 7)
        scores = vectors @ query
        assert hits.rows.tolist() == np.argsort(-scores, kind="stable")[:7].tolist()
        assert hits.scores == pytest.approx(np.sort(scores)[::-1][:7], abs=2e-6)
    assert len(index.search(vectors[0], 1000).rows) == 300


@pytest.mark.parametrize("dim", [64, 130])
def test_quantised_with_exact_scores_finds_the_same(tmp_path, dim):
    vectors = unit(6000, dim)
    exact = VectorIndex(folder(tmp_path / "e", vectors))
    place = folder(tmp_path / "q", vectors)
    assert write_quantised(place, exact_up_to=1000) == "quantised"
    index = VectorIndex(place)
    assert not index.exact
    for query in unit(20, dim, 1):
        expected, found = exact.search(query, 10), index.search(query, 10)
        assert found.rows.tolist() == expected.rows.tolist()
        assert found.scores.tolist() == expected.scores.tolist()


def test_vectors_of_odd_length_stay_exact(tmp_path):
    assert write_quantised(folder(tmp_path / "i", unit(50, 7)), exact_up_to=10) == "exact"


def test_same_vectors_same_bytes(tmp_path):
    vectors = unit(3000, 16)
    first, second = folder(tmp_path / "a", vectors), folder(tmp_path / "b", vectors)
    for place in (first, second):
        write_quantised(place, exact_up_to=100)
    assert (first / QUANTISED).read_bytes() == (second / QUANTISED).read_bytes()


def test_equal_vectors_come_in_the_order_of_rows(tmp_path):
    vectors = np.repeat(unit(1, 8), 5, axis=0)
    index = VectorIndex(folder(tmp_path / "i", vectors))
    assert index.search(vectors[0], 3).rows.tolist() == [0, 1, 2]


def test_damage(tmp_path):
    place = folder(tmp_path / "i", unit(3000, 8))
    write_quantised(place, exact_up_to=100)
    np.save(place / VECTORS, unit(2999, 8))
    with pytest.raises(DataError, match="holds 3000 vectors of 8"):
        VectorIndex(place)
    (place / QUANTISED).write_bytes(b"nothing")
    with pytest.raises(DataError, match="not readable"):
        VectorIndex(place)
    (place / VECTORS).write_bytes(b"")
    with pytest.raises(DataError, match="not readable"):
        VectorIndex(place)
    np.save(place / VECTORS, np.zeros(3))
    with pytest.raises(DataError, match="expected float32"):
        VectorIndex(place)

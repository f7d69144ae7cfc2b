import numpy as np
import pytest

from pipeline_lib.errors import DataError
from pipeline_lib.metrics import rescoring
from pipeline_lib.metrics.rescoring import dual_softmax, querybank_norm
from pipeline_lib.metrics.retrieval import retrieval_ranks

RNG = np.random.default_rng(0)
SIMILARITY = RNG.uniform(-1, 1, (7, 5))
BANK = RNG.uniform(-1, 1, (9, 5))


def naive_dual_softmax(similarity, scale):
    shares = np.exp(scale * similarity)
    return similarity * shares / shares.sum(axis=0)


def test_dual_softmax_by_hand():
    # Both queries like the first candidate, the first one more: it leaves the other to the second.
    similarity = np.array([[0.9, 0.2], [0.6, 0.5]])
    assert retrieval_ranks(similarity).t2v.tolist() == [1, 2]
    rescored = dual_softmax(similarity, 10.0)
    share = np.exp(9) / (np.exp(9) + np.exp(6))
    assert rescored[0, 0] == pytest.approx(0.9 * share)
    assert retrieval_ranks(rescored).t2v.tolist() == [1, 1]


@pytest.mark.parametrize("block", [1, 10, 1 << 22])
def test_dual_softmax_in_blocks(monkeypatch, block):
    monkeypatch.setattr(rescoring, "_BLOCK", block)
    np.testing.assert_allclose(
        dual_softmax(SIMILARITY, 20.0), naive_dual_softmax(SIMILARITY, 20.0), rtol=1e-9
    )


def test_products_that_are_too_small_make_no_ties():
    similarity = RNG.uniform(-1, 1, (40, 40))
    similarity[0, 0] = 0.0
    plain = naive_dual_softmax(np.round(similarity, 3), 300.0)
    rescored = dual_softmax(np.round(similarity, 3), 5000.0)
    for one, other in zip(dual_softmax(np.round(similarity, 3), 300.0), plain, strict=True):
        assert np.argsort(one).tolist() == np.argsort(other).tolist()
    assert np.isfinite(rescored).all()
    assert np.count_nonzero(rescored) == similarity.size - np.count_nonzero(
        np.round(similarity, 3) == 0
    )
    assert (np.sign(rescored) == np.sign(np.round(similarity, 3))).all()


def test_no_input_is_changed():
    before = SIMILARITY.copy(), BANK.copy()
    dual_softmax(SIMILARITY, 3.0)
    querybank_norm(SIMILARITY, BANK, k=1, beta=20.0)
    assert (before[0] == SIMILARITY).all()
    assert (before[1] == BANK).all()


def naive_querybank_norm(similarity, bank, k, beta):
    hubs = {int(best) for row in bank for best in np.argsort(-row)[:k]}
    mass = np.exp(beta * bank).sum(axis=0)
    rows = []
    for row in similarity:
        normed = np.exp(beta * row) / mass
        rows.append(normed if int(row.argmax()) in hubs else row)
    return np.array(rows), hubs


@pytest.mark.parametrize("k", [1, 2, 5, 9])
@pytest.mark.parametrize("block", [1, 1 << 22])
def test_querybank_norm_orders_as_its_definition(monkeypatch, k, block):
    monkeypatch.setattr(rescoring, "_BLOCK", block)
    expected, _ = naive_querybank_norm(SIMILARITY, BANK, k, 20.0)
    found = querybank_norm(SIMILARITY, BANK, k=k, beta=20.0)
    assert [np.argsort(row).tolist() for row in found] == [
        np.argsort(row).tolist() for row in expected
    ]


def test_a_hub_no_longer_takes_every_query():
    hub = np.array([[0.9, 0.2, 0.1], [0.8, 0.7, 0.1], [0.75, 0.1, 0.6]])
    bank = np.array([[0.9, 0.1, 0.1], [0.8, 0.1, 0.2]])
    assert retrieval_ranks(hub).t2v.tolist() == [1, 2, 2]
    found = querybank_norm(hub, bank, k=1, beta=20.0)
    assert retrieval_ranks(found).t2v.tolist() == [2, 1, 1]
    # Where no bank query's best is the query's best, nothing changes.
    untouched = querybank_norm(hub, bank[:, [1, 0, 2]], k=1, beta=20.0)
    assert (untouched == hub).all()


def test_large_inverse_temperatures_stay_finite():
    assert np.isfinite(querybank_norm(SIMILARITY, BANK, k=1, beta=5000.0)).all()


def test_what_does_not_fit_is_refused():
    with pytest.raises(DataError, match="querybank of 4 candidates, and 5"):
        querybank_norm(SIMILARITY, BANK[:, :4], k=1, beta=1.0)
    with pytest.raises(DataError, match="querybank are a matrix"):
        querybank_norm(SIMILARITY, BANK[:0], k=1, beta=1.0)
    with pytest.raises(DataError, match=r"similarities are a matrix, not \[5\]"):
        dual_softmax(SIMILARITY[0], 1.0)

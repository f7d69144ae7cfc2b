import numpy as np

from pipeline_lib.evaluation.tempme_stop.reranking import rerank
from pipeline_lib.metrics.retrieval import retrieval_ranks

SIMILARITY = np.array([[0.9, 0.8, 0.1, 0.2], [0.1, 0.5, 0.6, 0.7]], dtype=np.float32)
OTHER = np.array([[-3.0, 5.0, 90.0, 80.0], [1.0, 1.0, -7.0, -8.0]], dtype=np.float32)


def scores(query, candidates):
    asked.append((query, candidates.tolist()))
    return OTHER[query, candidates]


asked: list = []


def test_only_the_best_are_asked_about_and_stay_in_front():
    asked.clear()
    found = rerank(SIMILARITY, scores, 2)
    assert asked == [(0, [0, 1]), (1, [3, 2])]
    assert np.argsort(-found[0]).tolist() == [1, 0, 3, 2]
    assert np.argsort(-found[1]).tolist() == [2, 3, 1, 0]
    assert (found[0, 2:] == SIMILARITY[0, 2:]).all()


def test_all_candidates_make_the_other_order():
    found = rerank(SIMILARITY, scores, 50)
    match = np.array([[False, False, True, False], [False, True, False, False]])
    assert (retrieval_ranks(found, match).t2v == retrieval_ranks(OTHER, match).t2v).all()


def test_nothing_given_is_changed():
    before = SIMILARITY.copy()
    rerank(SIMILARITY, scores, 2)
    assert (before == SIMILARITY).all()

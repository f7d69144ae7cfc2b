import numpy as np
import pytest

from pipeline_lib.metrics.retrieval import match_matrix, retrieval_metrics
from pipeline_lib.metrics.retrieval_chance import chance_metrics


def test_one_right_candidate_each():
    chance = chance_metrics(np.eye(1000, dtype=bool))
    for way in ("t2v", "v2t"):
        assert chance[f"{way}_r1"] == pytest.approx(0.1)
        assert chance[f"{way}_r10"] == pytest.approx(1.0)
        assert chance[f"{way}_mdr"] == chance[f"{way}_mnr"] == 500.5
    assert chance["r_sum"] == pytest.approx(3.2)
    assert list(chance) == list(retrieval_metrics(np.eye(3)))


def test_no_rounding_is_shown():
    chance = chance_metrics(np.eye(56, dtype=bool), recall_at=(1, 5, 10, 28))
    assert chance["t2v_r1"] == round(100 / 56, 12)
    assert (chance["t2v_r28"], chance["v2t_r28"]) == (50, 50)


def test_several_right_candidates_by_hand():
    match = np.array([[True, True, False, False]])
    chance = chance_metrics(match, recall_at=(1, 2, 3, 9))
    # The first right one of two in four: at 1 with 1/2, at 2 with 1/3, at 3 with 1/6.
    assert chance["t2v_r1"] == pytest.approx(50)
    assert chance["t2v_r2"] == pytest.approx(100 * 5 / 6)
    assert chance["t2v_r3"] == chance["t2v_r9"] == pytest.approx(100)
    assert chance["t2v_mnr"] == pytest.approx(5 / 3)
    assert chance["t2v_mdr"] == 1.5
    assert chance["v2t_r1"] == 100


def test_equals_the_mean_of_random_scores():
    owner = np.array([0, 0, 1, 2, 2, 2, 3, 3])
    match = match_matrix(owner, 5, ("a", "b", "a", "c", "d", "e", "f", "c"))
    rng = np.random.default_rng(0)
    scores = rng.random((3000, *match.shape))
    drawn = [retrieval_metrics(one, match, recall_at=(1, 2, 5)) for one in scores]
    chance = chance_metrics(match, recall_at=(1, 2, 5))
    for name in ("t2v_r1", "t2v_r2", "t2v_r5", "t2v_mnr", "v2t_r1", "v2t_r2", "v2t_mnr"):
        values = np.array([draw[name] for draw in drawn])
        assert abs(values.mean() - chance[name]) <= 4 * values.std() / np.sqrt(len(values))


def test_a_group_of_texts_is_one_candidate():
    owner = np.array([0, 0, 0, 1, 2])
    chance = chance_metrics(match_matrix(owner, 3), groups=owner, recall_at=(1,))
    assert chance["v2t_r1"] == pytest.approx(100 / 3)
    single = chance_metrics(match_matrix(owner, 3), recall_at=(1,))
    assert single["v2t_r1"] == pytest.approx(100 * (3 / 5 + 1 / 5 + 1 / 5) / 3)


def test_groups_need_not_stand_together():
    owner = np.array([2, 0, 1, 0, 2, 0])
    order = np.argsort(owner, kind="stable")
    mixed, ordered = (
        chance_metrics(match_matrix(one, 4, texts), groups=one)
        for one, texts in ((owner, "abacde"), (owner[order], np.array(list("abacde"))[order]))
    )
    assert mixed == pytest.approx(ordered)


def test_nothing_to_find_is_undefined():
    assert set(chance_metrics(np.zeros((2, 3), bool)).values()) == {None}

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_lib.errors import DataError
from pipeline_lib.metrics import retrieval
from pipeline_lib.metrics.rescoring import dual_softmax
from pipeline_lib.metrics.retrieval import (
    cosines,
    match_matrix,
    rank_metrics,
    retrieval_metrics,
    retrieval_ranks,
)

NAMES = [
    f"{way}_{name}" for way in ("t2v", "v2t") for name in ("r1", "r5", "r10", "r50", "mdr", "mnr")
]
PUBLISHED = (
    Path(os.environ.get("CLIPLINE_SHARED", Path(__file__).parents[3] / "shared"))
    / "data"
    / "msrvtt_vit16_sim_matrix.npy"
)


def naive_rank(scores, own, group_of):
    """By the definition, candidate by candidate."""
    best = max(score for score, mine in zip(scores, own, strict=True) if mine)
    worse = set()
    for score, mine, group in zip(scores, own, group_of, strict=True):
        if not mine and score > best:
            worse.add(group)
    return 1 + len(worse)


def naive(similarity, match, groups):
    texts, videos = similarity.shape
    t2v = [
        naive_rank(similarity[row], match[row], range(videos)) if match[row].any() else 0
        for row in range(texts)
    ]
    v2t = [
        naive_rank(similarity[:, column], match[:, column], groups) if match[:, column].any() else 0
        for column in range(videos)
    ]
    return t2v, v2t


def test_ranks_by_hand():
    similarity = [[0.9, 0.1, 0.5], [0.8, 0.3, 0.4], [0.1, 0.7, 0.7]]
    ranks = retrieval_ranks(similarity)
    assert ranks.t2v.tolist() == [1, 3, 1]  # the tie of the last row is decided for it
    assert ranks.v2t.tolist() == [1, 2, 1]
    metrics = retrieval_metrics(similarity, recall_at=(1, 2, 3))
    assert metrics["t2v_r1"] == pytest.approx(200 / 3)
    assert metrics["t2v_r2"] == pytest.approx(200 / 3)
    assert metrics["t2v_r3"] == 100
    assert (metrics["t2v_mdr"], metrics["t2v_mnr"]) == (1.0, pytest.approx(5 / 3))
    assert metrics["v2t_r2"] == 100
    assert retrieval_ranks(similarity, ties="against").t2v.tolist() == [1, 3, 2]


def test_names_and_sum():
    metrics = retrieval_metrics(np.eye(3))
    assert list(metrics) == [*NAMES, "r_sum"]
    assert metrics["r_sum"] == 600  # a k beyond the gallery finds all
    assert metrics["t2v_r50"] == 100
    assert list(retrieval_metrics(np.eye(3), recall_at=(2,))) == [
        "t2v_r2", "t2v_mdr", "t2v_mnr", "v2t_r2", "v2t_mdr", "v2t_mnr", "r_sum",
    ]  # fmt: skip
    assert retrieval_metrics(np.eye(3), recall_at=(2,))["r_sum"] == 600


def test_lists_tensors_whole_numbers_and_half_precision_are_similarities_too():
    table = np.random.default_rng(0).integers(-9, 9, (6, 6))
    wanted = retrieval_metrics(table.astype(np.float64))
    for same in (table, table.tolist(), table.astype(np.float16), torch.from_numpy(table).float()):
        assert retrieval_metrics(same) == wanted
    infinite = np.where(
        table == table.max(), np.inf, np.where(table == table.min(), -np.inf, table)
    )
    assert retrieval_metrics(infinite) == wanted


def test_ties_never_change_how_many_queries_count():
    flat = np.zeros((4, 4))
    ranks = retrieval_ranks(flat)
    assert ranks.t2v.tolist() == ranks.v2t.tolist() == [1] * 4
    against = retrieval_ranks(flat, ties="against")
    assert against.t2v.tolist() == against.v2t.tolist() == [4] * 4


def test_several_captions_of_a_video():
    # Captions 0 and 1 are of video 0, caption 2 of video 1, caption 3 of video 2.
    match = match_matrix(np.array([0, 0, 1, 2]), 3)
    similarity = np.array([[0.9, 0.1, 0.8], [0.2, 0.6, 0.7], [0.5, 0.4, 0.6], [0.0, 0.5, 0.4]])
    ranks = retrieval_ranks(similarity, match)
    assert ranks.t2v.tolist() == [1, 3, 3, 2]
    assert ranks.v2t.tolist() == [1, 3, 4]
    # Video 2 loses to captions 0, 1 and 2, of which two are one video's.
    grouped = retrieval_ranks(similarity, match, groups=np.array([0, 0, 1, 2]))
    assert grouped.t2v.tolist() == ranks.t2v.tolist()
    assert grouped.v2t.tolist() == [1, 3, 3]


def test_groups_need_not_stand_together():
    rng = np.random.default_rng(1)
    owner = np.array([2, 0, 1, 0, 2, 1, 0])
    similarity, order = rng.random((7, 3)), np.argsort(owner, kind="stable")
    mixed = retrieval_ranks(similarity, match_matrix(owner, 3), groups=owner)
    ordered = retrieval_ranks(similarity[order], match_matrix(owner[order], 3), groups=owner[order])
    assert mixed.v2t.tolist() == ordered.v2t.tolist()
    assert mixed.t2v[order].tolist() == ordered.t2v.tolist()


def test_equal_captions_match_each_other_s_videos():
    owner = np.array([0, 1, 2])
    texts = ("a red  ring", "A red ring", "a blue ring")
    match = match_matrix(owner, 3, texts)
    assert match.tolist() == [[True, True, False], [True, True, False], [False, False, True]]
    assert match_matrix(owner, 3).tolist() == np.eye(3, dtype=bool).tolist()
    similarity = np.array([[0.5, 0.6, 0.1], [0.5, 0.6, 0.1], [0.2, 0.2, 0.9]])
    assert retrieval_ranks(similarity).t2v.tolist() == [2, 1, 1]
    assert retrieval_ranks(similarity, match).t2v.tolist() == [1, 1, 1]


def test_what_belongs_to_nothing_is_not_counted():
    match = np.array([[True, False, False], [False, False, False]])
    ranks = retrieval_ranks([[0.1, 0.2, 0.3], [0.5, 0.5, 0.5]], match)
    assert ranks.t2v.tolist() == [3, 0]
    assert ranks.v2t.tolist() == [2, 0, 0]
    metrics = rank_metrics(ranks)
    assert (metrics["t2v_mnr"], metrics["v2t_mnr"]) == (3, 2)
    nothing = retrieval_metrics(np.zeros((2, 3)), np.zeros((2, 3), dtype=bool))
    assert set(nothing.values()) == {None}


@pytest.mark.parametrize("seed", range(200))
def test_equals_two_loops(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    texts, videos = rng.integers(1, 12, 2)
    if seed % 3 == 0:
        monkeypatch.setattr(retrieval, "_BLOCK", int(rng.integers(1, 40)))
    similarity = rng.integers(0, 6, (texts, videos)) / 5  # many ties
    owner = rng.integers(0, videos, texts)
    words = [str(word) for word in rng.integers(0, 5, texts)] if seed % 2 else None
    match = match_matrix(owner, videos, words)
    groups = owner if seed % 4 < 2 else np.arange(texts)
    ranks = retrieval_ranks(similarity, match, groups=owner if seed % 4 < 2 else None)
    t2v, v2t = naive(similarity, match, groups.tolist())
    assert ranks.t2v.tolist() == t2v
    assert ranks.v2t.tolist() == v2t


tables = st.integers(2, 8).flatmap(
    lambda n: st.lists(
        st.lists(st.integers(-20, 20), min_size=n, max_size=n), min_size=n, max_size=n
    )
)


@pytest.mark.parametrize("block", [1, 7, 20])
def test_pairs_of_a_large_matrix_are_ranked_in_parts(monkeypatch, block):
    similarity = np.random.default_rng(0).integers(0, 9, (9, 9))
    wanted = retrieval_ranks(similarity)
    monkeypatch.setattr(retrieval, "_BLOCK", block)
    found = retrieval_ranks(similarity)
    assert (found.t2v.tolist(), found.v2t.tolist()) == (wanted.t2v.tolist(), wanted.v2t.tolist())


@settings(max_examples=60, deadline=None)
@given(table=tables, seed=st.integers(0, 99))
def test_the_order_of_pairs_does_not_count(table, seed):
    similarity = np.array(table, dtype=np.float32)
    order = np.random.default_rng(seed).permutation(len(similarity))
    assert retrieval_metrics(similarity[order][:, order]) == retrieval_metrics(similarity)


@settings(max_examples=60, deadline=None)
@given(table=tables, seed=st.integers(0, 99))
def test_only_the_order_of_a_query_s_scores_counts(table, seed):
    similarity = np.array(table, dtype=np.float64)
    shift = np.random.default_rng(seed).integers(-5, 5, (len(similarity), 1))
    assert (
        retrieval_ranks(similarity + shift).t2v.tolist() == retrieval_ranks(similarity).t2v.tolist()
    )
    assert retrieval_ranks(similarity + shift.T).v2t.tolist() == (
        retrieval_ranks(similarity).v2t.tolist()
    )
    assert retrieval_metrics(3 * similarity) == retrieval_metrics(similarity)


@settings(max_examples=40, deadline=None)
@given(table=tables)
def test_directions_are_each_other_s_transpose(table):
    similarity = np.array(table, dtype=np.float64)
    ranks, turned = retrieval_ranks(similarity), retrieval_ranks(similarity.T)
    assert ranks.t2v.tolist() == turned.v2t.tolist()
    assert ranks.v2t.tolist() == turned.t2v.tolist()


@pytest.mark.parametrize(
    ("similarity", "match", "words"),
    [
        (np.zeros(3), None, r"\[texts, videos\], not \[3\]"),
        (np.zeros((0, 3)), None, r"not \[0, 3\]"),
        (np.zeros((2, 3)), None, "2 texts and 3 videos"),
        (np.full((2, 2), np.nan), None, "holds NaN"),
        (np.zeros((2, 2)), np.ones((2, 3), bool), r"Matches \[2, 3\] of similarities \[2, 2\]"),
    ],
)
def test_what_cannot_be_ranked_is_refused(similarity, match, words):
    with pytest.raises(DataError, match=words):
        retrieval_metrics(similarity, match)


def test_matches_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="Groups"):
        retrieval_metrics(np.eye(2), groups=np.zeros(3, np.int64))
    for videos, wrong in (([0, 2], "2"), ([-1, 0], "-1")):
        with pytest.raises(DataError, match=f"numbered 0 to 1, found {wrong}"):
            match_matrix(np.array(videos), 2)
    with pytest.raises(DataError, match="1 texts for 2"):
        match_matrix(np.array([0, 1]), 2, ("a",))


def test_equal_vectors_have_equal_cosines_wherever_they_stand(monkeypatch):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((30, 512))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    videos = rows[rng.integers(0, 5, 37)]
    table = cosines(rows, videos)
    assert all(len(set(row.tolist())) == 5 for row in table)
    np.testing.assert_allclose(table, rows @ videos.T, atol=1e-6)
    monkeypatch.setattr(retrieval, "_BLOCK", 100)
    assert (cosines(rows, videos) == table).all()
    assert cosines(rows, videos[:0]).shape == (30, 0)


@pytest.fixture(scope="module")
def published():
    """1000 x 1000 scores of MSR-VTT's test captions and videos, published with STOP."""
    if not PUBLISHED.is_file():
        pytest.skip("set CLIPLINE_SHARED to the folder of the published matrix")
    return np.load(PUBLISHED, allow_pickle=False)


def near(metrics, expected):
    assert {name: round(metrics[name], 2) for name in expected} == expected


def test_a_published_matrix_gives_its_numbers(published):
    near(
        retrieval_metrics(published),
        {"t2v_r1": 48.0, "t2v_r5": 71.3, "t2v_r10": 81.4, "t2v_r50": 95.5}
        | {"t2v_mdr": 2.0, "t2v_mnr": 13.65}
        | {"v2t_r1": 46.9, "v2t_r5": 74.9, "v2t_r10": 83.7, "v2t_mnr": 9.78},
    )
    # Four captions stand there twice, so that videos find them with equal scores.
    against = rank_metrics(retrieval_ranks(published, ties="against"))
    near(against, {"t2v_r1": 48.0, "v2t_r1": 46.5})


def test_dual_softmax_of_a_published_matrix(published):
    texts = retrieval_metrics(dual_softmax(published, 1.0))
    near(texts, {"t2v_r1": 52.6, "t2v_r5": 76.6, "t2v_r10": 85.4})
    # The published script counts tied videos twice and gives 52.5, 76.6 and 85.4 here.
    videos = retrieval_metrics(dual_softmax(published.T, 1.0).T)
    near(videos, {"v2t_r1": 53.1, "v2t_r5": 77.1, "v2t_r10": 85.9})

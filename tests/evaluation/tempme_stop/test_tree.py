import numpy as np
import pytest

from pipeline_lib.config import EvaluateTempMeStopConfig, QbNormConfig
from pipeline_lib.evaluation.tempme_stop.scores import SHUFFLED
from pipeline_lib.evaluation.tempme_stop.tree import MeasuredSplit, measure_split, split_tree
from pipeline_lib.metrics.retrieval import RetrievalRanks
from pipeline_lib.summary import headlines, rows_of
from tests.evaluation.tempme_stop.project import scored

CONFIG = EvaluateTempMeStopConfig(shuffles=5, recall_at=(1, 2), qb_norm=QbNormConfig(k=1))
PERFECT = np.eye(6)
NAMES = [f"{way}_{name}" for way in ("t2v", "v2t") for name in ("r1", "r2", "mdr", "mnr")]


def tree(scores, config=CONFIG):
    return split_tree(measure_split(scores, config), config)


def test_a_perfect_model_beside_its_controls():
    found = tree(scored(PERFECT, zero_shot=-PERFECT, missing=2))
    assert (found["texts"], found["videos"], found["missing"]) == (6, 6, 2)
    assert (found["t2v_r1"], found["v2t_r1"], found["r_sum"]) == (100, 100, 600)
    control = found["control"]
    assert list(control) == ["zero_shot", "untrained", "shuffled", "chance"]
    assert all(list(values) == [*NAMES, "r_sum"] for values in control.values())
    assert control["zero_shot"]["t2v_r1"] == 0
    assert control["zero_shot"]["t2v_mnr"] == 6
    assert control["untrained"]["t2v_r1"] == 100
    assert control["chance"]["t2v_r1"] == pytest.approx(100 / 6)
    assert control["shuffled"]["t2v_r1"] == 0  # no text keeps a right caption
    assert found["gain"]["t2v_r1"] == {"mean": 100, "se": 0}
    assert found["t2v_r1_se"] == 0
    assert found["ties_against"] == {"t2v_r1": 100, "v2t_r1": 100}
    assert "rerank" not in found


def test_a_model_that_tells_nothing_apart_is_told_by_ties_and_shuffling():
    found = tree(scored(np.full((6, 6), 0.3)))
    assert found["t2v_r1"] == 100
    assert found["ties_against"] == {"t2v_r1": 0, "v2t_r1": 0}
    assert found["control"]["shuffled"]["t2v_r1"] == 100


def test_errors_count_the_segments_of_a_file_once():
    similarity = np.eye(4)
    similarity[2:] = np.eye(4)[[0, 1]]  # two texts find nothing
    apart = tree(scored(similarity))
    assert apart["t2v_r1"] == 50
    assert apart["t2v_r1_se"] == pytest.approx(100 * np.sqrt(0.25 / 3))
    together = tree(scored(similarity, paths=["a.mp4", "a.mp4", "b.mp4", "b.mp4"]))
    assert together["t2v_r1_se"] == pytest.approx(50)
    assert tree(scored(similarity, paths=["a.mp4"] * 4))["t2v_r1_se"] is None


def test_draws_add_up_without_rounding():
    draws = [RetrievalRanks(np.array([1, 2, rank]), np.array([1])) for rank in (5, 8, 3, 5)]
    ranks = {SHUFFLED: tuple(draws)}
    found = MeasuredSplit(scored(np.eye(3)), np.eye(3, dtype=bool), ranks).metrics(SHUFFLED, (1,))
    # A sum from left to right gives 2.7499999999999996.
    assert found["t2v_mnr"] == 2.75


def test_captions_of_one_video_cannot_be_exchanged():
    found = tree(scored([[0.5], [0.4]], video_of_text=[0, 0]))
    assert set(found["control"]["shuffled"].values()) == {None}
    assert found["t2v_r1"] == 100


def test_equal_captions_match_only_where_asked():
    similarity = [[0.5, 0.6, 0.1], [0.5, 0.6, 0.1], [0.2, 0.2, 0.9]]
    words = ("a ring", "A ring", "a star")
    assert tree(scored(similarity, texts=words))["t2v_r1"] == pytest.approx(200 / 3)
    matched = tree(scored(similarity, texts=words, equal_captions=True))
    assert matched["t2v_r1"] == 100
    # Two of three videos are right for two of three texts.
    assert matched["control"]["chance"]["t2v_r1"] == pytest.approx(
        100 * (2 / 3 + 2 / 3 + 1 / 3) / 3
    )


def test_rescored_similarities_have_their_own_branch():
    # The first video is everybody's best; training captions show that it always is.
    hub = [[0.9, 0.2, 0.1], [0.8, 0.7, 0.1], [0.75, 0.1, 0.6]]
    found = tree(scored(hub, bank=[[0.9, 0.1, 0.1], [0.8, 0.1, 0.2]]))
    assert found["t2v_r1"] == pytest.approx(100 / 3)
    assert found["dsl"]["t2v_r1"] == 100
    assert found["qb_norm"]["t2v_r1"] == pytest.approx(200 / 3)
    assert found["qb_norm"]["v2t_r1"] is found["qb_norm"]["r_sum"] is None
    assert set(tree(scored(hub))["qb_norm"].values()) == {None}
    reranked = np.eye(3), np.zeros((3, 3)) - np.eye(3)
    assert tree(scored(hub, reranked=reranked))["rerank"]["t2v_r1"] == 100
    assert tree(scored(hub, reranked=reranked))["rerank"]["v2t_r1"] == 0


def test_the_headlines_are_recalls_and_median_ranks_beside_controls():
    config = EvaluateTempMeStopConfig(shuffles=2)
    found = tree(scored(PERFECT, zero_shot=-PERFECT), config)
    rows = headlines(rows_of("tempme_stop", {"test": found}))
    assert [row.metric.removeprefix("test.") for row in rows] == [
        "t2v_r1", "t2v_r5", "t2v_r10", "t2v_mdr", "v2t_r1", "v2t_r5", "v2t_r10", "v2t_mdr", "r_sum",
    ]  # fmt: skip
    assert all(set(row.controls) == set(found["control"]) for row in rows)
    assert rows[0].gain is not None

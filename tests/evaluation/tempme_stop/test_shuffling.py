import numpy as np
import pytest

from pipeline_lib.evaluation.tempme_stop.shuffling import exchange
from pipeline_lib.metrics.retrieval import match_matrix


def draws(owners, texts, videos, count=60):
    right = match_matrix(np.array(owners), videos, texts)
    for seed in range(count):
        yield right, exchange(right, np.array(owners), np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("owners", "texts"),
    [
        ([0, 1], "ab"),
        ([0, 1, 2, 3], "abcd"),
        ([0, 0, 1, 1, 2, 2], "abcdef"),
        ([0, 1, 2, 3], "aabb"),  # two videos bear the same caption
        ([0, 0, 1, 2, 3, 3], "abacdb"),
    ],
)
def test_no_text_keeps_a_right_caption(owners, texts):
    for right, order in draws(owners, tuple(texts), max(owners) + 1):
        assert sorted(order) == list(range(len(owners)))
        assert not right[order, owners].any()


def test_all_orders_are_drawn():
    found = {tuple(order) for _, order in draws([0, 1, 2, 3], ("a", "b", "c", "d"), 4, 300)}
    assert len(found) == 9  # permutations of four without a fixed point


@pytest.mark.parametrize(
    ("owners", "texts"), [([0], "a"), ([0, 0], "ab"), ([0, 1], "aa"), ([0, 1, 2], "aab")]
)
def test_what_cannot_be_exchanged_is_told(owners, texts):
    assert {order for _, order in draws(owners, tuple(texts), max(owners) + 1, 5)} == {None}

from itertools import pairwise

import numpy as np
import pytest

from pipeline_lib.metrics.sim_m import sim_m, weakest_match

THRESHOLDS = (0.95, 0.96, 0.97, 0.98, 0.99)


def in_a_double_loop(cosines: np.ndarray, m: float) -> int:
    """1 if every true frame has a chosen frame of cosine m or more, as the definition reads."""
    for of_true in cosines:
        for cosine in of_true:
            if cosine >= m:
                break
        else:
            return 0
    return 1


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_by_hand() -> None:
    cosines = [[0.1, 0.97, 0.2], [0.99, 0.3, 0.4]]
    assert weakest_match(cosines) == 0.97
    assert sim_m([0.97, 0.5], [0.4, 0.6, 0.97, 0.98]) == [1.0, 0.5, 0.5, 0.0]


def test_equals_a_double_loop_and_falls_in_m() -> None:
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(200):
        true, chosen = rng.integers(1, 6, 2)
        scene = rng.normal(size=(1, 8))
        frames = unit(scene + rng.uniform(0.02, 0.4) * rng.normal(size=(true + chosen, 8)))
        cosines = frames[:true] @ frames[true:].T
        found = sim_m([weakest_match(cosines)], THRESHOLDS)
        assert found == [in_a_double_loop(cosines, m) for m in THRESHOLDS]
        assert found == sorted(found, reverse=True)
        seen.add(tuple(found))
    assert len(seen) == 6  # every number of thresholds that can be reached was


def test_the_mean_falls_in_m() -> None:
    weakest = np.random.default_rng(1).uniform(0.8, 1.0, 50).tolist()
    curve = sim_m(weakest, np.linspace(0.7, 1.1, 81).tolist())
    assert curve[0] == 1.0
    assert curve[-1] == 0.0
    assert all(a >= b for a, b in pairwise(curve))


def test_items_without_true_frames_are_left_out() -> None:
    assert weakest_match(np.zeros((0, 4))) is None
    assert sim_m([None, 0.96], [0.95, 0.99]) == [1.0, 0.0]
    assert sim_m([None], [0.95, 0.99]) == [None, None]
    assert sim_m([], [0.95]) == [None]


def test_choosing_nothing_is_a_miss_at_every_m() -> None:
    missed = weakest_match(np.zeros((2, 0)))
    assert sim_m([missed], [-1.0, 0.5]) == [0.0, 0.0]
    assert sim_m([missed, 1.0], [1.0]) == [0.5]


@pytest.mark.parametrize("m", [0.95, 1.0])
def test_the_threshold_itself_counts(m: float) -> None:
    assert sim_m([weakest_match([[m]])], [m]) == [1.0]

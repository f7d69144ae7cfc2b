"""Work done ahead: in order, bounded, and with its errors in place."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from pipeline_lib.datasets.video_clips.loading import prefetched


def slow_square(number: int) -> int:
    time.sleep(0.002 * (number % 3))
    return number * number


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_results_come_in_order(workers):
    assert list(prefetched(range(30), slow_square, workers)) == [n * n for n in range(30)]
    assert list(prefetched([], slow_square, workers)) == []


def test_no_more_is_made_than_needed():
    made = []
    results = prefetched(iter(range(100)), made.append, 2)
    next(results)
    time.sleep(0.05)
    assert len(made) <= 5
    results.close()
    assert threading.active_count() < 20


@pytest.mark.parametrize("workers", [0, 3])
def test_an_error_stands_where_its_result_would(workers):
    def failing(number: int) -> int:
        if number == 5:
            raise KeyError(number)
        return number

    results = prefetched(range(10), failing, workers)
    assert [next(results) for _ in range(5)] == list(range(5))
    with pytest.raises(KeyError):
        next(results)
    assert not any(thread.name.startswith("clips") for thread in threading.enumerate())


def test_leaving_early_ends_the_threads():
    for number in prefetched(range(50), slow_square, 3):
        if number == 9:
            break
    time.sleep(0.05)
    assert not any(thread.name.startswith("clips") for thread in threading.enumerate())


def test_threads_compute_alone_and_leave_the_callers_as_they_were():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        seen = []
        for inside in prefetched(range(4), lambda _: torch.get_num_threads(), 2):
            seen.append((inside, torch.get_num_threads()))
        assert seen == [(1, 2)] * 4
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(torch.get_num_threads).result() == 2
    finally:
        torch.set_num_threads(before)

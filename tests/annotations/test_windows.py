from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.annotations.windows import window_starts, window_stride
from pipeline_lib.errors import ConfigError


@pytest.mark.parametrize(
    ("rows", "unit", "overlap", "count"),
    [
        (10, 1, 0, 10),
        (10, 4, 0.5, 4),
        (11, 4, 0.5, 4),
        (9, 4, 0.5, 3),
        (3, 4, 0, 0),
        (4, 4, 0, 1),
        (20, 3, 0.5, 18),
        (30, 10, 0.8, 11),
        (0, 1, 0, 0),
    ],
)
def test_counts(rows, unit, overlap, count):
    assert len(window_starts(rows, unit, overlap)) == count


def test_starts_are_int64_and_leave_the_tail_out():
    starts = window_starts(11, 4, 0.5)
    assert starts.dtype == np.int64
    assert starts.tolist() == [0, 2, 4, 6]


@pytest.mark.parametrize(
    ("unit", "overlap", "stride"),
    [
        (10, 0.8, 2),
        (15, 0.8, 3),
        (20, 0.8, 4),
        (20, 0.9, 2),
        (25, 0.8, 5),
        (30, 0.8, 6),
        (30, 0.9, 3),
        (1, 0.5, 1),
        (1, 0.99, 1),
        (3, 0.5, 1),
        (5, 0.1, 4),
    ],
)
def test_strides_survive_floating_point(unit, overlap, stride):
    assert window_stride(unit, overlap) == stride


@given(st.integers(1, 500), st.integers(0, 99))
def test_stride_equals_exact_arithmetic(unit, percent):
    exact = unit * (1 - Fraction(percent, 100))
    assert window_stride(unit, percent / 100) == max(1, exact.numerator // exact.denominator)


@given(
    st.integers(0, 3000),
    st.integers(1, 100),
    st.floats(0, 1, exclude_max=True, allow_nan=False),
)
def test_windows_fill_the_video_and_never_overrun_it(rows, unit, overlap):
    starts = window_starts(rows, unit, overlap)
    stride = window_stride(unit, overlap)
    assert len(starts) == (0 if rows < unit else (rows - unit) // stride + 1)
    if len(starts):
        assert starts[0] == 0
        assert (np.diff(starts) == stride).all()
        assert starts[-1] + unit <= rows < starts[-1] + unit + stride


@pytest.mark.parametrize("overlap", [-0.1, 1.0, float("nan")])
def test_overlap_out_of_range(overlap):
    with pytest.raises(ConfigError, match="overlap_ratio"):
        window_starts(10, 2, overlap)


def test_unit_out_of_range():
    with pytest.raises(ConfigError, match="unit_duration = 0"):
        window_starts(10, 0, 0)

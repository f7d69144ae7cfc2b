import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.annotations.strict_normal import label_windows, merge_events
from pipeline_lib.annotations.windows import window_starts
from pipeline_lib.errors import DataError

TWO = [(5, 8), (12, 15)]


def label(rows, unit, overlap, events, *, is_normal_class=False, strict=True):
    starts = window_starts(rows, unit, overlap)
    return label_windows(starts, unit, events, is_normal_class=is_normal_class, strict=strict)


@pytest.mark.parametrize(
    ("rows", "unit", "overlap", "events", "inside", "before", "dropped"),
    [
        (1000, 1, 0, [(100, 300)], 200, 100, 700),
        (800, 1, 0, [(50, 200)], 150, 50, 600),
        (20, 1, 0, TWO, 6, 5, 9),
        (20, 4, 0.5, TWO, 6, 1, 2),
        (20, 1, 0, [(5.5, 8.2)], 4, 5, 11),
        (20, 2, 0, [(4, 6)], 1, 2, 7),
        (20, 2, 0.5, [(4, 6)], 3, 3, 13),
        (20, 1, 0, [(0, 3)], 3, 0, 17),
    ],
)
def test_kept_and_dropped(rows, unit, overlap, events, inside, before, dropped):
    labels, kept, reason = label(rows, unit, overlap, events)
    assert labels.sum() == inside
    assert (kept & (labels == 0)).sum() == before
    assert (~kept).sum() == dropped
    assert set(reason[~kept]) == {"after_first_event"}
    assert set(reason[kept]) <= {""}


@pytest.mark.parametrize("option", [{"is_normal_class": True}, {"strict": False}])
def test_normal_class_and_strict_off_keep_all(option):
    labels, kept, reason = label(20, 1, 0, TWO, **option)
    assert kept.all()
    assert labels.sum() == (0 if "is_normal_class" in option else 6)
    assert set(reason) == {""}


def test_dtypes_also_without_windows_or_events():
    for events in ([], TWO, np.array(TWO)):
        for starts in (np.arange(4), np.array([], np.int64), [0, 1]):
            labels, kept, reason = label_windows(
                starts, 1, events, is_normal_class=False, strict=True
            )
            assert labels.dtype == np.int64
            assert kept.dtype == bool
            assert reason.dtype.kind == "U"
            assert len(labels) == len(kept) == len(reason) == len(starts)


def test_touching_is_no_overlap():
    labels, kept, _ = label_windows(
        np.array([0, 4, 6]), 2, [(2, 4)], is_normal_class=False, strict=True
    )
    assert labels.tolist() == [0, 0, 0]
    assert kept.tolist() == [True, False, False]


def test_events_merge_when_they_overlap_or_touch():
    assert merge_events([(12, 15), (5, 8), (8, 9), (13, 14)]) == ((5, 9), (12, 15))
    assert merge_events([]) == ()


@pytest.mark.parametrize("event", [(3, 3), (3, 2), (float("nan"), 3)])
def test_an_event_ends_after_its_start(event):
    with pytest.raises(DataError, match="does not end after its start"):
        label(20, 1, 0, [event])


times = st.integers(0, 240).map(lambda quarter: quarter / 4)
events_lists = st.lists(
    st.tuples(times, times).filter(lambda event: event[0] < event[1]), min_size=1, max_size=6
)


@given(events_lists, st.integers(0, 60), st.integers(1, 9), st.sampled_from([0, 0.3, 0.5, 0.8]))
def test_the_rule_window_by_window(events, rows, unit, overlap):
    starts = window_starts(rows, unit, overlap)
    labels, kept, reason = label_windows(starts, unit, events, is_normal_class=False, strict=True)
    first = min(start for start, _ in events)
    for window, labelled, is_kept, why in zip(starts, labels, kept, reason, strict=True):
        inside = any(window < end and window + unit > start for start, end in events)
        assert labelled == inside
        assert is_kept == (inside or window + unit <= first)
        assert (why == "") == is_kept

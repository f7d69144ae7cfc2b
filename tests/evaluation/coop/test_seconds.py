from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline_lib.evaluation.coop.labelled_windows import labelled_windows
from pipeline_lib.evaluation.coop.seconds import Seconds, split_seconds
from tests.evaluation.coop.tables import Events, store_of, window_row, windows_table

NAMES = ("fall", "normal")
FALL, QUIET = "test/fall/a", "test/normal/b"


def seconds_of(
    folder: Path,
    table: pd.DataFrame,
    events: Events,
    rows: dict[str, int],
    *,
    unit: int = 1,
    **times: float,
) -> Seconds:
    store = store_of(folder, table, events, rows, unit_duration=unit, **times)
    windows = labelled_windows(store, "test", class_names=NAMES, normal_class="normal")
    return split_seconds(windows)


def cut(video: str, *starts: int, unit: int = 1, **times: float) -> list[dict[str, object]]:
    return [window_row(video, start, n_rows=unit, **times) for start in starts]


def test_a_second_is_positive_where_it_overlaps_an_event_and_not_where_it_touches(
    tmp_path: Path,
) -> None:
    table = windows_table(*cut(FALL, *range(6)), *cut(QUIET, 0, 1))
    found = seconds_of(tmp_path, table, {FALL: [(1.0, 2.0), (3.5, 4.5)]}, {FALL: 6, QUIET: 2})
    # [1, 2) is inside, [0, 1) and [2, 3) touch; 3.5 to 4.5 lies in the seconds 3 and 4.
    assert found.positive.tolist() == [False, True, False, True, True, False, False, False]
    assert found.video.tolist() == [0] * 6 + [1] * 2
    assert found.start_s.tolist() == [0, 1, 2, 3, 4, 5, 0, 1]
    assert found.of_event_videos.tolist() == [True] * 6 + [False] * 2
    assert found.uncovered == found.unknown_videos == 0
    scores = np.arange(8) / 3
    assert found.scores(scores) == pytest.approx(scores)


def test_a_second_has_the_score_of_its_window_of_four(tmp_path: Path) -> None:
    table = windows_table(*cut(FALL, 0, 4, unit=4), *cut(QUIET, 0, unit=4))
    found = seconds_of(tmp_path, table, {FALL: [(5.0, 7.5)]}, {FALL: 10, QUIET: 4}, unit=4)
    # Ten seconds make two windows of four; the tail of two is covered by none.
    assert found.uncovered == 2
    assert found.positive.tolist() == [False] * 5 + [True] * 3 + [False] * 4
    assert found.scores(np.array([1.0, 5.0, -2.0])) == pytest.approx([1] * 4 + [5] * 4 + [-2] * 4)


def test_a_second_under_several_windows_has_their_mean(tmp_path: Path) -> None:
    table = windows_table(*cut(FALL, 0, 2, 4, unit=4), *cut(QUIET, 0, unit=4))
    found = seconds_of(tmp_path, table, {FALL: [(0.0, 1.0)]}, {FALL: 8, QUIET: 4}, unit=4)
    of_windows = np.array([2.0, 4.0, 9.0, 0.0])
    expected = [2, 2, 3, 3, 6.5, 6.5, 9, 9, 0, 0, 0, 0]
    assert found.scores(of_windows) == pytest.approx(expected)
    # A constant score stays constant to the last bit, so it ranks nothing.
    constant = found.scores(np.full(4, -1000 + np.log(13)))
    assert len(set(constant.tolist())) == 1


def test_rows_need_not_be_seconds(tmp_path: Path) -> None:
    # Ten rows of 0.1 s; 0.3 s is row 2.9999999999999996 and must not touch row 2.
    table = windows_table(*cut(FALL, *range(10), every_s=0.1), *cut(QUIET, 0, every_s=0.1))
    found = seconds_of(tmp_path, table, {FALL: [(0.3, 0.55)]}, {FALL: 10, QUIET: 1}, every_s=0.1)
    assert np.flatnonzero(found.positive).tolist() == [3, 4, 5]
    assert found.start_s[:4].tolist() == [0.0, 0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    ("offset_s", "start_s", "positive"),
    [
        # Row 0 is [-1, 0): no second of the video, though a window covers it. Row 2 is [1, 2).
        (-1.0, [0, 1, 2, 3, 4], [1, 2]),
        # Row 0 is [-0.5, 0.5), row 1 [0.5, 1.5), row 3 [2.5, 3.5).
        (-0.5, [-0.5, 0.5, 1.5, 2.5, 3.5, 4.5], [0.5, 1.5]),
        # Row 0 is [0.5, 1.5).
        (0.5, [0.5, 1.5, 2.5, 3.5, 4.5, 5.5], [0.5, 1.5]),
    ],
)
def test_rows_may_start_at_another_time_than_their_video(
    tmp_path: Path, offset_s: float, start_s: list[float], positive: list[float]
) -> None:
    times = {"offset_s": offset_s}
    table = windows_table(*cut(FALL, *range(6), **times), *cut(QUIET, 0, **times))
    found = seconds_of(tmp_path, table, {FALL: [(1.0, 2.5)]}, {FALL: 6, QUIET: 1}, **times)
    of_fall = found.video == 0
    assert found.start_s[of_fall].tolist() == start_s
    assert found.start_s[found.positive].tolist() == positive
    # A row keeps the score of its window, wherever it lies in time.
    own = found.scores(np.arange(7.0))
    assert own.tolist() == [*range(6 - len(start_s), 6), *([6] if offset_s > -1 else [])]
    assert found.uncovered == found.unknown_videos == 0


def test_windows_of_four_rows_that_look_back(tmp_path: Path) -> None:
    times = {"every_s": 0.5, "offset_s": -1.0}
    table = windows_table(*cut(FALL, 0, 4, unit=4, **times), *cut(QUIET, 0, unit=4, **times))
    rows = {FALL: 10, QUIET: 4, "test/normal/lost": 5}
    found = seconds_of(tmp_path, table, {FALL: [(0.5, 1.5)]}, rows, unit=4, **times)
    # Rows 0 and 1 of each video lie before it; window [-1, 1) keeps two of its rows.
    assert found.start_s.tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 0, 0.5]
    assert found.positive.tolist() == [False, True, True, *[False] * 5]
    assert found.scores(np.array([1.0, 5.0, -2.0])).tolist() == [1, 1, 5, 5, 5, 5, -2, -2]
    # The last two rows of the first, and three of the five of the video without windows.
    assert found.uncovered == 2 + 3


def test_an_event_before_the_first_row_is_known_and_in_no_row(tmp_path: Path) -> None:
    times = {"offset_s": 2.5}
    table = windows_table(*cut(FALL, 0, 1, 2, 3, **times), *cut(QUIET, 0, **times))
    found = seconds_of(tmp_path, table, {FALL: [(0.5, 2.0)]}, {FALL: 4, QUIET: 1}, **times)
    assert found.start_s.tolist() == [2.5, 3.5, 4.5, 5.5, 2.5]
    assert not found.positive.any()
    assert found.unknown_videos == 0


def test_events_beyond_the_end_are_cut(tmp_path: Path) -> None:
    table = windows_table(*cut(FALL, 0, 1, 2), *cut(QUIET, 0))
    found = seconds_of(tmp_path, table, {FALL: [(2.5, 9.0)]}, {FALL: 3, QUIET: 1})
    assert found.positive.tolist() == [False, False, True, False]


def test_videos_in_which_nobody_looked_for_events_are_left_out(tmp_path: Path) -> None:
    table = windows_table(*cut(FALL, 0, 1), *cut("test/fall/unannotated", 0, 1), *cut(QUIET, 0))
    rows = {FALL: 2, "test/fall/unannotated": 2, QUIET: 1}
    found = seconds_of(tmp_path, table, {FALL: [(0, 1)]}, rows)
    assert found.video.tolist() == [0, 0, 2]
    assert found.unknown_videos == 1


def test_videos_without_windows_count_as_uncovered_or_unknown(tmp_path: Path) -> None:
    table = windows_table(*cut(FALL, 0))
    lost = {"test/fall/lost": 5, "test/normal/lost": 7, "test/fall/unannotated": 9}
    events = {FALL: [(0, 1)], "test/fall/lost": [(0, 1)]}
    found = seconds_of(tmp_path, table, events, {FALL: 3, **lost})
    assert found.uncovered == 2 + 5 + 7
    assert found.unknown_videos == 1


def test_a_split_without_windows_has_no_second(tmp_path: Path) -> None:
    table = windows_table(window_row("val/fall/a", 0))
    found = seconds_of(tmp_path, table, {}, {"val/fall/a": 1, QUIET: 2})
    assert found.scores(np.zeros(0)).shape == found.positive.shape == (0,)
    assert found.uncovered == 2

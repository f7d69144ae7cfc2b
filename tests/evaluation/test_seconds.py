from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline_lib.evaluation.labelled_windows import labelled_windows
from pipeline_lib.evaluation.seconds import Seconds, split_seconds
from tests.evaluation.tables import Events, store_of, window_row, windows_table

NAMES = ("fall", "normal")
FALL, QUIET = "test/fall/a", "test/normal/b"


def seconds_of(
    folder: Path,
    table: pd.DataFrame,
    events: Events,
    rows: dict[str, int],
    *,
    every_s: float = 1.0,
    unit: int = 1,
) -> Seconds:
    store = store_of(folder, table, events, rows, every_s=every_s, unit_duration=unit)
    windows = labelled_windows(store, "test", class_names=NAMES, normal_class="normal")
    return split_seconds(windows)


def cut(video: str, *starts: int, unit: int = 1, every_s: float = 1.0) -> list[dict[str, object]]:
    return [window_row(video, start, n_rows=unit, every_s=every_s) for start in starts]


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

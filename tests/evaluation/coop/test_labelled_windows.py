from pathlib import Path

import pandas as pd
import pytest

from pipeline_lib.errors import DataError
from pipeline_lib.evaluation.coop.labelled_windows import LabelledWindows, labelled_windows
from tests.evaluation.coop.tables import Events, store_of, window_row, windows_table

NAMES = ("fall", "fire", "normal")


def choose(
    folder: Path,
    table: pd.DataFrame,
    *known: str,
    events: Events | None = None,
    normal_class: str | None = "normal",
) -> LabelledWindows:
    rows = dict.fromkeys([*table["video"], *known], 4)
    store = store_of(folder, table, events or {}, rows)
    return labelled_windows(store, "test", class_names=NAMES, normal_class=normal_class)


def test_labels_count_in_the_models_class_list(tmp_path: Path) -> None:
    table = windows_table(
        window_row("test/fire/a", 0, label="normal"),
        window_row("test/fire/a", 1, overlaps=True),
        window_row("test/normal/a", 0),
        window_row("val/fall/a", 0),
    )
    found = choose(tmp_path, table, events={"test/fire/a": [(1, 2)], "val/fall/a": [(0, 1)]})
    assert found.labels.tolist() == [2, 1, 2]
    assert found.videos == ("test/fire/a", "test/normal/a")
    assert found.video_of_window.tolist() == [0, 0, 1]
    assert found.video_labels.tolist() == [1, 2]
    assert found.video_rows.tolist() == [4, 4]
    assert found.overlaps_event.tolist() == [False, True, False]
    assert found.events["test/fire/a"] == ((1.0, 2.0),)
    assert found.without_windows.empty


def test_one_stem_in_two_classes_is_two_videos(tmp_path: Path) -> None:
    table = windows_table(window_row("test/fall/a", 0), window_row("test/fire/a", 0))
    assert choose(tmp_path, table).video_labels.tolist() == [0, 1]


def test_videos_that_lost_all_windows_are_named(tmp_path: Path) -> None:
    table = windows_table(
        window_row("test/fire/a", 0, kept=False),
        window_row("test/normal/a", 0),
        window_row("val/normal/z", 0),
    )
    found = choose(tmp_path, table, "test/normal/short")
    assert list(found.without_windows["video"]) == ["test/fire/a", "test/normal/short"]


def test_a_split_without_windows_is_empty(tmp_path: Path) -> None:
    found = choose(tmp_path, windows_table(window_row("val/fall/a", 0)))
    assert len(found.labels) == len(found.videos) == len(found.overlaps_event) == 0


def test_the_normal_class_is_found_in_any_case_or_not_at_all(tmp_path: Path) -> None:
    table = windows_table(window_row("test/fall/a", 0))
    assert choose(tmp_path, table, normal_class="Normal").normal == 2
    assert choose(tmp_path, table, normal_class="idle").normal is None
    assert choose(tmp_path, table, normal_class=None).normal is None


@pytest.mark.parametrize(
    ("video", "label"), [("test/fal/a", "fal"), ("test/fall/a", "fal"), ("test/fal/a", "fall")]
)
def test_an_unknown_class_is_an_error_with_the_nearest_name(
    tmp_path: Path, video: str, label: str
) -> None:
    table = windows_table(window_row(video, 0, label=label))
    with pytest.raises(DataError, match=r"'fal' of the test split") as caught:
        choose(tmp_path, table)
    assert "'fall'" in str(caught.value.hint)

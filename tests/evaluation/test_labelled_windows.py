from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pytest

from pipeline_lib.errors import DataError
from pipeline_lib.evaluation.labelled_windows import LabelledWindows, labelled_windows
from tests.evaluation.tables import window_row, windows_table

NAMES = ("fall", "fire", "normal")


def choose(
    table: pd.DataFrame, known: Iterable[str], *, normal_class: str = "normal"
) -> LabelledWindows:
    return labelled_windows(
        table,
        "test",
        class_names=NAMES,
        normal_class=normal_class,
        known_videos=known,
        source=Path("windows.parquet"),
    )


def test_labels_count_in_the_models_class_list() -> None:
    table = windows_table(
        window_row("test/fire/a", 0, label="normal"),
        window_row("test/fire/a", 1, overlaps=True),
        window_row("test/normal/a", 0),
        window_row("val/fall/a", 0),
    )
    found = choose(table, ["test/fire/a", "test/normal/a"])
    assert found.labels.tolist() == [2, 1, 2]
    assert found.videos == ("test/fire/a", "test/normal/a")
    assert found.video_of_window.tolist() == [0, 0, 1]
    assert found.video_labels.tolist() == [1, 2]
    assert found.overlaps_event.tolist() == [False, True, False]
    assert found.videos_without_windows == ()


def test_one_stem_in_two_classes_is_two_videos() -> None:
    table = windows_table(window_row("test/fall/a", 0), window_row("test/fire/a", 0))
    found = choose(table, ["test/fall/a", "test/fire/a"])
    assert found.video_labels.tolist() == [0, 1]


def test_videos_that_lost_all_windows_are_named() -> None:
    table = windows_table(
        window_row("test/fire/a", 0, kept=False),
        window_row("test/normal/a", 0),
        window_row("val/normal/z", 0),
    )
    known = ["test/fire/a", "test/normal/a", "test/normal/short", "val/normal/z"]
    found = choose(table, known)
    assert found.videos_without_windows == ("test/fire/a", "test/normal/short")


def test_a_split_without_windows_is_empty() -> None:
    found = choose(windows_table(window_row("val/fall/a", 0)), ["val/fall/a"])
    assert len(found.labels) == len(found.videos) == len(found.overlaps_event) == 0


def test_presence_of_events_is_known_in_annotated_and_in_normal_videos() -> None:
    table = windows_table(
        window_row("test/fall/a", 0),
        window_row("test/fall/a", 1, overlaps=True),
        window_row("test/fire/unannotated", 0),
        window_row("test/normal/a", 0),
    )
    found = choose(table, set(table["video"]))
    assert found.searchable.tolist() == [True, True, False, True]


def test_the_normal_class_is_found_in_any_case_or_not_at_all() -> None:
    table = windows_table(window_row("test/fall/a", 0))
    assert choose(table, ["test/fall/a"], normal_class="Normal").normal == 2
    assert choose(table, ["test/fall/a"], normal_class="idle").normal is None


@pytest.mark.parametrize(
    "row",
    [
        window_row("test/fal/a", 0),
        window_row("test/fall/a", 0, label="fal"),
        window_row("test/fal/a", 0, label="fall"),
    ],
)
def test_an_unknown_class_is_an_error_with_the_nearest_name(row: dict[str, object]) -> None:
    with pytest.raises(DataError, match="'fal' of the test split") as caught:
        choose(windows_table(row), [str(row["video"])])
    assert "'fall'" in str(caught.value.hint)


def test_windows_without_features_are_an_error() -> None:
    table = windows_table(window_row("test/fall/a", 0), window_row("test/fall/b", 0))
    with pytest.raises(DataError, match=r"test/fall/b has windows but no features \(1 such"):
        choose(table, ["test/fall/a"])

import numpy as np
import pandas as pd
import pytest

from pipeline_lib.datasets import window_features
from pipeline_lib.datasets.window_features import (
    class_list,
    load_split,
    pooled_windows,
    read_windows,
)
from pipeline_lib.errors import DataError
from pipeline_lib.storage.features import feature_path
from pipeline_lib.storage.tables import write_parquet

ROWS = np.array([[3, 4], [0, 2], [1, 0], [5, 0]], dtype=np.float32)


def save(directory, video, rows):
    path = feature_path(directory, video, ".npy")
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.asarray(rows))


def table(*rows):
    """Rows (video, start_row, n_rows, label); an empty label is a dropped window."""
    return pd.DataFrame(
        [
            {
                "video": video,
                "split": video.split("/")[0],
                "class_name": video.split("/")[1],
                "start_row": start,
                "n_rows": length,
                "start_s": float(start),
                "end_s": float(start + length),
                "overlaps_event": False,
                "label": label,
                "kept": bool(label),
                "reason": "" if label else "after_first_event",
            }
            for video, start, length, label in rows
        ]
    )


def test_rows_are_aggregated_before_they_are_normalised(tmp_path):
    save(tmp_path, "train/a/x", ROWS)
    windows = table(("train/a/x", 0, 1, "a"), ("train/a/x", 0, 2, "a"), ("train/a/x", 1, 3, "a"))
    mean = pooled_windows(windows, tmp_path, "mean")
    largest = pooled_windows(windows, tmp_path, "max")
    # Means [3, 4], [1.5, 3], [2, 2/3]; maxima [3, 4], [3, 4], [5, 2].
    expected = [[0.6, 0.8], [1 / 5**0.5, 2 / 5**0.5], [3 / 10**0.5, 1 / 10**0.5]]
    np.testing.assert_allclose(mean, expected, rtol=1e-6)
    expected = [[0.6, 0.8], [0.6, 0.8], [5 / 29**0.5, 2 / 29**0.5]]
    np.testing.assert_allclose(largest, expected, rtol=1e-6)
    assert mean.dtype == np.float32


def test_the_order_of_the_table_is_kept_across_videos(tmp_path):
    save(tmp_path, "train/a/x", ROWS)
    save(tmp_path, "train/b/x", ROWS[::-1])
    windows = table(("train/b/x", 0, 1, "b"), ("train/a/x", 2, 1, "a"), ("train/b/x", 3, 1, "b"))
    np.testing.assert_allclose(
        pooled_windows(windows, tmp_path, "mean"), [[1, 0], [1, 0], [0.6, 0.8]], rtol=1e-6
    )


def test_a_split_holds_its_kept_windows_with_labels_by_name(tmp_path):
    for video in ("train/a/x", "train/c/x", "val/c/x"):
        save(tmp_path, video, ROWS)
    windows = table(
        ("train/a/x", 0, 1, ""),
        ("train/a/x", 1, 1, "normal"),
        ("train/c/x", 2, 1, "c"),
        ("val/c/x", 0, 1, "c"),
    )
    names = ("a", "c", "normal")
    train = load_split(windows, "train", names, tmp_path, "mean")
    assert train.labels.tolist() == [2, 1]
    assert train.labels.dtype == np.int64
    assert train.videos == ("train/a/x", "train/c/x")
    np.testing.assert_array_equal(train.features, [[0, 1], [1, 0]])
    assert load_split(windows, "val", names, tmp_path, "mean").labels.tolist() == [1]


def test_every_video_is_opened_once(tmp_path, monkeypatch):
    opened = []
    original = window_features.load_rows
    monkeypatch.setattr(
        window_features, "load_rows", lambda d, v: opened.append(v) or original(d, v)
    )
    for video in ("train/a/x", "train/a/y"):
        save(tmp_path, video, ROWS)
    windows = table(*[(v, i, 1, "a") for i in range(4) for v in ("train/a/x", "train/a/y")])
    pooled_windows(windows, tmp_path, "mean")
    assert opened == ["train/a/x", "train/a/y"]


def test_the_class_list_counts_directories_without_kept_windows():
    windows = table(("train/b/x", 0, 1, "b"), ("train/a/x", 0, 1, ""), ("val/c/x", 0, 1, "c"))
    assert class_list(windows) == ("a", "b")
    with pytest.raises(DataError, match="no window of the train split"):
        class_list(windows[windows["split"] == "val"])


def test_the_digest_changes_with_any_value(tmp_path):
    save(tmp_path, "train/a/x", ROWS)
    save(tmp_path, "train/a/y", ROWS)

    def digest(*rows):
        return load_split(table(*rows), "train", ("a", "b"), tmp_path, "mean").sha256()

    base = digest(("train/a/x", 0, 1, "a"))
    assert base == digest(("train/a/x", 0, 1, "a"), ("train/a/x", 1, 1, ""))
    others = [("train/a/x", 1, 1, "a"), ("train/a/x", 0, 1, "b"), ("train/a/y", 0, 1, "a")]
    assert len({base, *(digest(row) for row in others)}) == 4


def test_an_empty_split_is_refused(tmp_path):
    with pytest.raises(DataError, match="No window of the val split was kept"):
        load_split(table(("train/a/x", 0, 1, "a")), "val", ("a",), tmp_path, "mean")


def test_an_unknown_label_is_refused(tmp_path):
    windows = table(("val/fal/x", 0, 1, "fal"))
    with pytest.raises(DataError, match=r"'fal' of the val split(.|\n)*Did you mean 'fall'"):
        load_split(windows, "val", ("fall", "run"), tmp_path, "mean")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.ones((3, 2), np.float32), r"x\.npy: has 3 rows, but a window ends at row 4"),
        (np.ones((4, 5), np.float32), r"x\.npy: features of size 5, those of other videos have 2"),
        (np.full((4, 2), np.nan, np.float32), r"x\.npy: holds NaN"),
        (np.zeros((4, 2), np.float32), r"x\.npy: row 0 is all zeros"),
    ],
)
def test_unusable_features_are_named(tmp_path, rows, message):
    save(tmp_path, "train/a/first", ROWS)
    save(tmp_path, "train/a/x", rows)
    windows = table(("train/a/first", 0, 1, "a"), ("train/a/x", 0, 4, "a"))
    with pytest.raises(DataError, match=message):
        pooled_windows(windows, tmp_path, "mean")


def test_rows_that_cancel_out_are_named(tmp_path):
    save(tmp_path, "train/a/x", np.array([[1, 2], [-1, -2]], np.float32))
    with pytest.raises(DataError, match=r"x\.npy: the rows of the window at row 0 cancel out"):
        pooled_windows(table(("train/a/x", 0, 2, "a")), tmp_path, "mean")


def test_a_missing_video_is_named(tmp_path):
    with pytest.raises(DataError, match=r"No features .*train/a/x\.npy"):
        pooled_windows(table(("train/a/x", 0, 1, "a")), tmp_path, "mean")


@pytest.mark.parametrize("row", [("train/a/x", -1, 1, "a"), ("train/a/x", 0, 0, "a")])
def test_impossible_windows_are_refused(tmp_path, row):
    save(tmp_path, "train/a/x", ROWS)
    with pytest.raises(DataError, match="starts before row 0 or has no row"):
        pooled_windows(table(row), tmp_path, "mean")


def test_a_table_of_another_version_is_refused(tmp_path):
    path = tmp_path / "windows.parquet"
    write_parquet(path, table(("train/a/x", 0, 1, "a")).drop(columns="kept"))
    with pytest.raises(DataError, match="no column 'kept'"):
        read_windows(path)

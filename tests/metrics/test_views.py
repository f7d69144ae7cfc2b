import numpy as np
import pytest

from pipeline_lib.metrics.views import merge_views

VIDEOS = ["test/a/x", "test/b/x", "test/a/x", "test/a/x", "test/b/x"]
VIEWS = ["0/0/0", "0/0/0", "0/1/0", "30/0/0", "0/1/0"]
ROWS = np.array([[1.0, 0.0], [0.25, 0.75], [0.5, 0.5], [0.0, 1.0], [0.75, 0.25]])


def test_windows_clips_and_crops_of_a_video_are_averaged() -> None:
    merged = merge_views(VIDEOS, VIEWS, ROWS)
    assert merged.videos == ("test/a/x", "test/b/x")
    assert merged.rows.tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert merged.views.tolist() == [3, 2]


def test_equal_stems_stay_two_videos() -> None:
    merged = merge_views(["cam1/P03.avi", "cam2/P03.avi"], ["0", "0"], np.eye(2))
    assert merged.videos == ("cam1/P03.avi", "cam2/P03.avi")
    assert merged.rows.tolist() == [[1, 0], [0, 1]]


def drawn() -> tuple[list[str], list[str], np.ndarray]:
    rng = np.random.default_rng(3)
    keys = [(f"v{video}", f"{view}") for video in range(7) for view in range(12)]
    rows = rng.dirichlet(np.ones(5), size=len(keys)).astype(np.float32)
    return [video for video, _ in keys], [view for _, view in keys], rows


def test_order_changes_no_bit() -> None:
    videos, views, rows = drawn()
    merged = merge_views(videos, views, rows)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(videos))
        again = merge_views([videos[i] for i in order], [views[i] for i in order], rows[order])
        assert again.videos == merged.videos
        assert again.rows.tobytes() == merged.rows.tobytes()


def test_a_view_that_is_there_twice_counts_once() -> None:
    videos, views, rows = drawn()
    merged = merge_views(videos, views, rows)
    twice = np.concatenate((rows, rows[10:40], rows[:3]))
    more_videos, more_views = videos + videos[10:40] + videos[:3], views + views[10:40] + views[:3]
    again = merge_views(more_videos, more_views, twice)
    assert again.rows.tobytes() == merged.rows.tobytes()
    assert again.views.tolist() == [12] * 7


def test_of_different_rows_of_one_view_the_same_one_counts_in_any_order() -> None:
    rows = np.array([[0.9, 0.1], [0.2, 0.8]])
    merged = [merge_views(["v", "v"], ["0", "0"], rows[order]) for order in ([0, 1], [1, 0])]
    assert merged[0].rows.tolist() == merged[1].rows.tolist()
    assert merged[0].rows[0].tolist() in rows.tolist()
    assert merged[0].views.tolist() == [1]


def test_nothing_is_merged_to_nothing() -> None:
    merged = merge_views([], [], np.zeros((0, 3)))
    assert merged.videos == ()
    assert merged.rows.shape == (0, 3)


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="2 videos, 1 views and 1 rows"):
        merge_views(["a", "b"], ["0"], np.zeros((1, 2)))

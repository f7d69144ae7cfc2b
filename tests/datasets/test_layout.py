import unicodedata

import pytest

from pipeline_lib.datasets.layout import (
    VideoId,
    check_classes,
    layout_warnings,
    parse_id,
    spread_over_classes,
)
from pipeline_lib.errors import DataError
from pipeline_lib.video.files import find_videos


@pytest.fixture
def make(tmp_path):
    def write(*names):
        for name in names:
            path = tmp_path / "videos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    return write


COMPLETE = ("train/fall/a.mp4", "train/normal/b.mp4", "val/fall/c.mp4", "test/normal/d.mp4")


def warnings_of(root, exclude=()):
    folder = root / "videos"
    return layout_warnings(folder, find_videos(folder, exclude))


def test_a_complete_layout_has_nothing_to_say(make):
    root = make("train/fall/b.mkv", "train/fall/cam.1_003.MP4", *COMPLETE)
    assert warnings_of(root) == []


def test_hidden_and_foreign_files_are_ignored(make):
    root = make(*COMPLETE, "train/.cache/x.mp4", "train/fall/.b.mp4", "train/fall/notes.txt")
    assert warnings_of(root) == []


def test_names_are_composed(make):
    decomposed = unicodedata.normalize("NFD", "쓰러짐")
    root = make(f"train/{decomposed}/{decomposed}.mp4", "val/쓰러짐/a.mp4", "test/쓰러짐/b.mp4")
    assert warnings_of(root) == []


@pytest.mark.parametrize("other", ["val/Fal/x.mp4", "test/Fal/x.mp4"])
def test_unknown_class_names_the_nearest(make, other):
    with pytest.raises(DataError, match=f"class 'Fal' of {other.split('/')[0]}") as caught:
        warnings_of(make(*COMPLETE, other))
    assert "Did you mean 'fall'?" in caught.value.hint


def test_without_training_videos_there_is_something_to_measure(make):
    root = make("val/fall/a.mp4", "test/run/b.mp4")
    (warning,) = warnings_of(root)
    assert "nothing can be trained, only measured" in warning


def test_one_name_in_two_splits_warns_of_a_leak(make):
    root = make(*COMPLETE, "val/fall/a.mkv", "test/fall/a.mp4", "val/normal/a.mp4")
    (warning,) = warnings_of(root)
    assert "fall/a (train, val, test)" in warning
    assert "leaks" in warning


def test_the_same_name_in_two_classes_is_two_videos(make):
    root = make("train/fall/a.mp4", "train/normal/a.mp4", "val/fall/x.mp4", "test/fall/y.mp4")
    assert warnings_of(root) == []


def test_an_empty_class_is_said(make):
    root = make(*COMPLETE)
    (root / "videos/train/a_first").mkdir()
    (warning,) = warnings_of(root)
    assert "Class 'a_first' has no training video" in warning


def test_missing_and_misspelt_splits(make):
    text = "\n".join(warnings_of(make("train/fall/a.mp4", "tests/fall/b.mp4", "train/loose.mp4")))
    assert "nothing is measured on val" in text
    assert "Did you mean 'test'?" in text
    assert "2 videos lie outside" in text
    assert "tests/fall/b, train/loose" in text


def test_a_folder_without_splits_can_still_be_extracted(make):
    (warning, *rest) = warnings_of(make("a.mp4", "sub/b.mp4"))
    assert "nothing is measured" in warning
    assert "2 videos lie outside" in rest[-1]


def test_ids():
    assert parse_id("train/fall/sub/a") == VideoId("train", "fall", "sub/a")
    assert parse_id("train/a") is None
    assert parse_id("trains/fall/a") is None


def test_classes_are_those_of_train():
    assert check_classes({"train": ["b", "a"], "val": ["a"]}, "here") == ("a", "b")
    with pytest.raises(DataError, match="here: class 'c' of val is not in train"):
        check_classes({"train": ["b", "a"], "val": ["c"]}, "here")


def test_without_training_videos_classes_are_those_that_are_measured():
    assert check_classes({"train": [], "val": ["b"], "test": ["a", "b"]}, "here") == ("a", "b")
    with pytest.raises(DataError, match="here: no video of a split"):
        check_classes({"train": [], "val": []}, "here")


def test_a_choice_of_videos_is_spread_over_splits_and_classes():
    sizes = {"test/b": 2, "train/a": 9, "train/b": 3, "val/b": 1}
    ids = [f"{folder}/{k}" for folder, size in sizes.items() for k in range(size)]
    assert spread_over_classes(ids, 15) == ids
    assert spread_over_classes(ids, 0) == []
    assert spread_over_classes(ids, 1) == ["train/a/4"]
    assert spread_over_classes(ids, 4) == ["test/b/1", "train/a/4", "train/b/1", "val/b/0"]
    # Two more each until a class has no more; at even distances within one.
    assert spread_over_classes(ids, 10) == [
        "test/b/0", "test/b/1", "train/a/1", "train/a/3", "train/a/5", "train/a/7",
        "train/b/0", "train/b/1", "train/b/2", "val/b/0",
    ]  # fmt: skip
    for limit in range(16):
        chosen = spread_over_classes(ids, limit)
        assert len(chosen) == len(set(chosen)) == min(limit, 15)
        assert chosen == [video_id for video_id in ids if video_id in chosen]

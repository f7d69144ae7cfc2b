"""Ids that become file names, and videos that items name."""

import unicodedata

import pytest

from pipeline_lib.datasets.questions import Question
from pipeline_lib.errors import DataError
from pipeline_lib.mining.items import ItemError, VideoFolder, check_item


def question(name="a", times=(1.0,)):
    return Question(id=name, question="?", choices=(), video_path="v.mp4", support_frames=times)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("a/b", "holds a slash"),
        ("a\\b", "holds a slash"),
        ("..", "starts with a dot"),
        (".hidden", "starts with a dot"),
        ("a\nb", "holds a control character"),
        ("a\0b", "holds a control character"),
        ("a\u2028b", "holds a control character"),
        ("a" * 151, "is 151 bytes long"),
        ("질" * 51, "is 153 bytes long"),
    ],
)
def test_ids_that_cannot_name_files_are_refused(name, fault):
    with pytest.raises(ItemError, match=fault) as caught:
        check_item(question(name))
    assert caught.value.reason == "unsafe_id"


@pytest.mark.parametrize("name", ["a", "질" * 50, "a b:c?*", "v1.2-q_3", "👨‍👩‍👧"])
def test_other_ids_are_fine(name):
    check_item(question(name))


def test_a_negative_time_is_refused_and_zero_is_not():
    check_item(question(times=(0.0, -0.0)))
    with pytest.raises(ItemError, match=r"Item 'a': support frame at -0\.5 s") as caught:
        check_item(question(times=(1.0, -0.5)))
    assert caught.value.reason == "negative_time"


def folder(tmp_path, *names):
    for name in names:
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "videos"


def test_paths_stay_under_the_videos(tmp_path):
    videos = VideoFolder(folder(tmp_path, "train/fall/a.mp4"))
    assert videos.locate("train/fall/a.mp4") == tmp_path / "videos/train/fall/a.mp4"
    assert videos.locate("./train//fall/a.mp4") == tmp_path / "videos/train/fall/a.mp4"
    for path in ("../a.mp4", "/etc/passwd", "train/../../a.mp4"):
        with pytest.raises(ItemError, match="leaves its folder") as caught:
            videos.locate(path)
        assert caught.value.reason == "unsafe_path"


def test_unicode_spelling_of_a_path_does_not_matter(tmp_path):
    decomposed = unicodedata.normalize("NFD", "train/쓰러짐/a.mp4")
    videos = VideoFolder(folder(tmp_path, decomposed))
    assert videos.locate("train/쓰러짐/a.mp4").exists()


def test_excluded_videos(tmp_path):
    root = folder(tmp_path, "train/fall/a.mp4", "train/fall/b.mp4")
    videos = VideoFolder(root, ("train/fall/a.mp4",))
    assert videos.excludes("train/fall/a.mp4")
    assert videos.excludes("train//fall/a.mp4")
    assert not videos.excludes("train/fall/b.mp4")
    with pytest.raises(DataError, match=r"data\.exclude names 'train/fall/c\.mp4'"):
        VideoFolder(root, ("train/fall/c.mp4",))

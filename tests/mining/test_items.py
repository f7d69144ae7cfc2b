"""Times that are in a video, and videos that items name."""

import unicodedata

import pytest

from pipeline_lib.config import MineConfig
from pipeline_lib.datasets.questions import Question
from pipeline_lib.errors import DataError
from pipeline_lib.mining.items import (
    ItemError,
    SupportTimes,
    VideoFolder,
    VideoSpan,
    support_times,
)

SPAN = VideoSpan(last_s=3.96, end_s=4.0)


def times(*asked, **policies):
    question = Question(
        id="a", question="?", choices=(), video_path="v.mp4", support_frames=asked, line=1
    )
    return support_times(question, SPAN, MineConfig(**policies))


def test_times_are_ascending_and_distinct():
    found = times(2.0, 1.0, 2.0, -0.0, 0.0)
    assert found == SupportTimes((0.0, 1.0, 2.0))
    assert str(found.times_s[0]) == "0.0"


def test_the_end_itself_is_still_in_the_video():
    assert times(4.0, 4.00005).times_s == (4.0, 4.00005)


@pytest.mark.parametrize(
    ("time", "reason", "words"),
    [
        (-0.5, "negative_time", r"support_frames\[1\] = -0\.5 s, but times count from 0"),
        (4.01, "beyond_end", r"support_frames\[1\] = 4\.01 s, but its video ends at 4 s"),
    ],
)
def test_a_time_outside_the_video_is_a_failure(time, reason, words):
    with pytest.raises(ItemError, match=words) as caught:
        times(1.0, time)
    assert caught.value.reason == reason


def test_a_time_outside_the_video_can_be_moved_into_it():
    found = times(9.0, 1.0, -2.0, -1.0, negative_time="clamp", beyond_end="clamp")
    assert found == SupportTimes((0.0, 1.0, 3.96), clamped=3)


def test_a_time_outside_the_video_can_be_left_out():
    assert times(9.0, 1.0, -2.0, negative_time="drop", beyond_end="drop") == SupportTimes(
        (1.0,), dropped=2
    )
    assert times(9.0, beyond_end="drop") == SupportTimes((), dropped=1)


def test_each_end_has_a_policy_of_its_own():
    assert times(-1.0, 9.0, negative_time="drop", beyond_end="clamp") == SupportTimes(
        (3.96,), clamped=1, dropped=1
    )
    with pytest.raises(ItemError, match=r"mine\.beyond_end"):
        times(-1.0, 9.0, negative_time="drop")


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
        with pytest.raises(DataError, match="cannot be used below"):
            videos.locate(path)


def test_a_missing_video_is_told_without_opening_it(tmp_path):
    videos = VideoFolder(folder(tmp_path, "train/fall/a.mp4"))
    with pytest.raises(ItemError, match=r"there is no video 'train/fall/b\.mp4' below") as caught:
        videos.locate("train/fall/b.mp4")
    assert caught.value.reason == "missing_video"


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

"""Lists of videos in every format: what is read, and what is refused in which words."""

import dataclasses
import logging
import math
from pathlib import Path

import pytest

from pipeline_lib.config import VideoListConfig
from pipeline_lib.datasets.video_clips.reading import NoClipsError, read_clip_list
from pipeline_lib.errors import ConfigError, DataError
from tests.support.video_files import constant_rate


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def write(folder: Path, **lists: str) -> VideoListConfig:
    """Lists beside videos a/x.mp4, a/y.mp4, b/x.mp4 and c.webm."""
    folder.mkdir(exist_ok=True)
    for split, text in lists.items():
        (folder / f"{split}.csv").write_text(text, encoding="utf-8")
    videos = folder / "videos"
    touch(videos / "a/x.mp4", videos / "a/y.mp4", videos / "b/x.mp4", videos / "c.webm")
    return VideoListConfig(format="videos", lists=str(folder), videos=str(videos))


def read(config, split="train", task="classification", root=Path("unused"), **options):
    return read_clip_list(config, root, split, task, **options)


def labels(clips) -> list[tuple[str, int | float]]:
    return [(item.id, item.label) for item in clips.items]


def test_folders_are_classes(tmp_path):
    videos = tmp_path / "videos"
    touch(videos / "train/walk/1.mp4", videos / "train/fall/1.mp4", videos / "val/walk/1.mkv")
    touch(videos / "train/fall/1.avi", videos / "stray.mp4")
    config = VideoListConfig()
    train = read(config, root=tmp_path)
    assert train.classes == ("fall", "walk")
    assert labels(train) == [
        ("train/fall/1.avi", 0),
        ("train/fall/1.mp4", 0),
        ("train/walk/1.mp4", 1),
    ]
    assert labels(read(config, "val", root=tmp_path)) == [("val/walk/1.mkv", 1)]
    with pytest.raises(NoClipsError, match="no test"):
        read(config, "test", root=tmp_path)
    touch(videos / "test/wakl/1.mp4")
    with pytest.raises(DataError, match=r"'wakl' is not in train. Did you mean 'walk'"):
        read(config, "test", root=tmp_path)
    with pytest.raises(ConfigError, match="has classes, but task is 'regression'"):
        read(config, task="regression", root=tmp_path)


def test_numbers_are_class_indices(tmp_path, caplog):
    config = write(tmp_path, train="a/x.mp4,2\na/y.mp4,0\n\nb/x,10\n", val="c.webm,10\n")
    train = read(config)
    assert labels(train) == [("a/x.mp4", 2), ("a/y.mp4", 0), ("b/x.mp4", 10)]
    assert train.classes == tuple(map(str, range(11)))
    assert "no video of class 1, 3, 4, 5, 6 and 3 more" in caplog.text
    assert labels(read(config, "val")) == [("c.webm", 10)]
    with pytest.raises(NoClipsError, match=r"no test\.csv"):
        read(config, "test")
    write(tmp_path, test="c.webm,7\n")
    with pytest.raises(DataError, match=r"test.csv(.|\n)*line 1: class '7' is not in train"):
        read(config, "test")


def test_names_are_sorted(tmp_path):
    config = write(tmp_path, train="a/x.mp4 walk\na/y.mp4 fall\n", val="b/x.mp4 wlak\n")
    config = dataclasses.replace(config, separator=" ")
    assert labels(read(config)) == [("a/x.mp4", 1), ("a/y.mp4", 0)]
    with pytest.raises(DataError, match=r"line 1: class 'wlak' is not in train. Did you mean"):
        read(config, "val")


def test_a_file_names_the_classes(tmp_path):
    config = write(tmp_path, train="a/x.mp4,1\n", val="a/y.mp4,0\n", test="a/y.mp4,2\n")
    names = tmp_path / "names.txt"
    names.write_text("fall\nwalk\n")
    config = dataclasses.replace(config, class_names=str(names))
    assert read(config).classes == ("fall", "walk")
    assert labels(read(config, "val")) == [("a/y.mp4", 0)]
    with pytest.raises(DataError, match=r"class '2' is not in .*names\.txt"):
        read(config, "test")
    names.write_text("walk\n\nwalk\n")
    with pytest.raises(DataError, match=r"line 2: blank\n  line 3: 'walk' stands on line 1"):
        read(config)


def test_classes_of_test_alone(tmp_path):
    config = write(tmp_path, test="a/x.mp4,b\na/y.mp4,a\n")
    assert read(config, "test").classes == ("a", "b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a/x.mp4 1\na/y.mp4 0\n", r"1 column where .*\['a/x.mp4 1'\](.|\n)*is a space"),
        ("a/x.mp4,1,2,3\n", "4 columns where (.|\n)*has to be in double quotes"),
        ("path,label\na/x.mp4,1\na/y.mp4,0\n", r"line 1: \['path', 'label'\] is a header"),
        (
            "Video,Class\na/x.mp4,walk\na/y.mp4,fall\n",
            "line 1: .* is a header(.|\n)*Remove the line",
        ),
        ("a/x.mp4,label\na/y.mp4,0\n", "line 1: class 'label' is no number"),
        ("a/x.mp4,1,soon\n", "line 1: 'soon' is not a number of seconds"),
        ("a/x.mp4,1,1e99\n", "line 1: '1e99' is not a number of seconds"),
        ("a/x.mp4,1\na/y.mp4,9999999\n", "line 2: class '9999999' is no number"),
        ("a/x.mp4,1\na/x.mp4,0\n", "line 2: a/x.mp4 has another label than on line 1"),
    ],
)
def test_faults_are_told_with_their_lines(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read(write(tmp_path, train=text))


def test_paths_stay_below_the_videos(tmp_path, caplog):
    touch(tmp_path / "outside.mp4")
    inside = (tmp_path / "videos/a/x.mp4").absolute()
    config = write(tmp_path, train=f"../outside.mp4,0\n/etc/passwd,0\n{inside},0\ngone.mp4,0\n")
    clips = read(config)
    assert labels(clips) == [("a/x.mp4", 0)]
    assert [(video.line, video.id) for video in clips.missing] == [
        (1, "../outside.mp4"),
        (2, "/etc/passwd"),
        (4, "gone.mp4"),
    ]
    assert "'..'" in clips.missing[0].reason
    assert "it is absolute" in clips.missing[1].reason
    assert "3 of 4 videos are left out" in caplog.text
    with pytest.raises(DataError, match="none of its 1 videos can be used"):
        read(write(tmp_path, train="gone.mp4,0\n"))


def test_equal_stems_stay_apart_and_repeats_count_once(tmp_path, caplog):
    config = write(tmp_path, train='a/x.mp4,0\nb/x.mp4,1\n"a/x.mp4",0\na/y.mp4,1\n')
    clips = read(config, exclude=["a/y.mp4"])
    assert [item.video for item in clips.items] == ["a/x.mp4", "b/x.mp4"]
    assert "a/x.mp4 on lines 1 and 3" in caplog.text
    with pytest.raises(NoClipsError, match=r"all videos are in data\.exclude"):
        read(config, exclude=["a/y.mp4", "a/x.mp4", "b/x.mp4"])


def test_an_excluded_video_need_not_be_there(tmp_path):
    config = write(tmp_path, train="a/x.mp4,b\ngone.mp4,a\n", val="a/y.mp4,a\n")
    clips = read(config, exclude=["gone.mp4"])
    assert [item.video for item in clips.items] == ["a/x.mp4"]
    assert not clips.missing


def test_a_list_of_videos_is_no_list_of_pictures(tmp_path):
    config = dataclasses.replace(write(tmp_path, train="a/x.mp4,1\n"), format="frames")
    with pytest.raises(DataError) as caught:
        read(config)
    assert "dataset.format is 'frames'" in caught.value.hint


def test_windows_by_the_listed_seconds(tmp_path):
    config = write(tmp_path, train="a/x.mp4,0,75\nb/x.mp4,1,59\n")
    clips = read(dataclasses.replace(config, trimmed_s=60.0))
    assert [(item.id, item.video) for item in clips.items] == [
        ("a/x.mp4@0-60", "a/x.mp4"),
        ("a/x.mp4@16-75", "a/x.mp4"),
        ("a/x.mp4@32-75", "a/x.mp4"),
        ("b/x.mp4@0-59", "b/x.mp4"),
    ]
    assert [item.end_s for item in clips.items] == [60, 75, 75, 59]


def test_windows_by_the_length_of_the_file(tmp_path):
    config = write(tmp_path, train="a/x.mp4,0\nb/x.mp4,1\n")
    constant_rate(tmp_path / "videos/a/x.mp4", 50, 25)
    clips = read(dataclasses.replace(config, trimmed_s=1.0, time_stride_s=1.0))
    assert [(item.start_s, item.end_s) for item in clips.items] == [(0, 1), (1, 2)]
    assert [video.id for video in clips.missing] == ["b/x.mp4"]


def test_values(tmp_path):
    config = write(tmp_path, train="a/x.mp4,1.5\nb/x.mp4,-2\n")
    clips = read(config, task="regression")
    assert labels(clips) == [("a/x.mp4", 1.5), ("b/x.mp4", -2.0)]
    assert clips.classes is None
    views = dataclasses.replace(config, target="view_count")
    with pytest.raises(DataError, match="line 2: -2 views have no logarithm"):
        read(views, task="regression")
    with pytest.raises(ConfigError, match="task is 'classification'"):
        read(views)
    with pytest.raises(ConfigError, match="made of likes and dislikes"):
        read(dataclasses.replace(config, target="like_ratio"), task="regression")
    with pytest.raises(DataError, match="line 1: 'fall' is not a number"):
        read(write(tmp_path, train="a/x.mp4,fall\n"), task="regression")


def test_folders_of_pictures(tmp_path, caplog):
    config = write(tmp_path, train="a 3 walk\nb 4 fall\ngone 1 fall\n")
    config = dataclasses.replace(config, format="frames", separator=" ")
    clips = read(config)
    assert [(item.id, item.label, item.listed_frames) for item in clips.items] == [
        ("a", 1, 3),
        ("b", 0, 4),
    ]
    assert "no such folder below" in caplog.text
    with pytest.raises(ConfigError, match="does not name a picture by its number"):
        read(dataclasses.replace(config, frame_name="img.jpg"))
    with pytest.raises(ConfigError, match="pictures have no seconds"):
        read(dataclasses.replace(config, trimmed_s=1.0))
    for count in ("0", "-1", "1.5", "99999999"):
        with pytest.raises(DataError, match=f"line 1: '{count}' is not a number of pictures"):
            read(dataclasses.replace(write(tmp_path, train=f"a,{count},1\n"), format="frames"))


def test_lists_of_lvu(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    write(
        tmp_path,
        train="class_id class_name youtube_id imdb_id\n1 the director x1 tt1\n0 other y1 tt2\n",
        test="class_id class_name youtube_id imdb_id\n1 the director z-1 tt3\n",
    )
    touch(*(tmp_path / "videos" / name for name in ("2001/x1.mp4", "y1.mkv", "z-1.mp4")))
    (tmp_path / "lvu_durations.csv").write_text("videoid,duration\nx1,59\ny1,61\nz-1,10\n")
    config = VideoListConfig(format="lvu", lists=str(tmp_path), trimmed_s=60.0)
    train = read(config, root=tmp_path)
    assert train.classes == ("other", "the director")
    assert labels(train) == [
        ("2001/x1.mp4@0-59", 1),
        ("y1.mkv@0-60", 0),
        ("y1.mkv@16-61", 0),
    ]
    assert labels(read(config, "test", root=tmp_path)) == [("z-1.mp4@0-10", 1)]
    with pytest.raises(DataError, match=r"no column 'clas_id'(.|\n)*Did you mean 'class_id'"):
        read(dataclasses.replace(config, column="clas_id"), root=tmp_path)


def test_values_of_lvu(tmp_path):
    write(tmp_path, train="like_count dislike_count youtube_id imdb_id\n900 100 x tt1\n")
    touch(tmp_path / "videos/x.mp4")
    (tmp_path / "videos/a/x.mp4").unlink()
    (tmp_path / "videos/b/x.mp4").unlink()
    config = VideoListConfig(format="lvu", lists=str(tmp_path), target="like_ratio")
    [item] = read(config, task="regression", root=tmp_path).items
    assert math.isclose(item.label, 9 - 9.138220535629456)
    write(tmp_path, train="view_count youtube_id imdb_id\n1000 c tt1\n")
    views = dataclasses.replace(config, target="view_count")
    [item] = read(views, task="regression", root=tmp_path).items
    assert math.isclose(item.label, math.log(1000) - 11.76425435683139)
    # Which of them would be the video, nobody can tell.
    write(tmp_path, train="view_count youtube_id imdb_id\n1000 my c tt1\n")
    with pytest.raises(DataError, match="line 2: 4 cells where the header has 3"):
        read(views, task="regression", root=tmp_path)

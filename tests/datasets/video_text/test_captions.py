"""Own captions: segments, several captions of one video, splits, and every fault by its line."""

import pytest

from pipeline_lib.errors import DataError
from tests.datasets.video_text.corpus import put, read, texts_of, videos


def item(path="train/a/x.mp4", caption="a dog", **others):
    return {"video_path": path, "caption": caption, **others}


def captions(root, *items, bare=False):
    return put(root, {"captions.json": list(items) if bare else {"data": list(items)}})


@pytest.mark.parametrize("bare", [False, True])
def test_items_of_one_place_are_captions_of_one_video(tmp_path, bare):
    captions(
        tmp_path,
        item(id="first", start_s=1, end_s=2.5),
        item(id="second", start_s=2.5, end_s=4),
        item(caption="a dog", start_s=1.0, end_s=2.5, id="again"),
        item(caption="all of it"),
        item("test/x.mp4", id=7),
        bare=bare,
    )
    videos(tmp_path, "train/a/x.mp4", "test/x.mp4")
    train = read(tmp_path, "captions", "train", val_ratio=0.0)
    assert texts_of(train) == {
        "first": ["a dog", "a dog"],
        "second": ["a dog"],
        "train/a/x": ["all of it"],
    }
    assert [(v.start_s, v.end_s) for v in train.videos] == [(1.0, 2.5), (2.5, 4.0), (0.0, None)]
    assert texts_of(read(tmp_path, "captions", "test")) == {"7": ["a dog"]}


def test_the_split_is_the_first_folder_or_a_field(tmp_path):
    captions(tmp_path, item("x.mp4", split="val"), item("train/y.mp4", split="val"))
    videos(tmp_path, "x.mp4", "train/y.mp4")
    assert list(texts_of(read(tmp_path, "captions", "val"))) == ["x"]
    assert list(texts_of(read(tmp_path, "captions", "train"))) == ["train/y"]


def test_a_video_in_two_splits_is_told(tmp_path, caplog):
    captions(
        tmp_path,
        item("x.mp4", split="train", start_s=0, end_s=1),
        item("x.mp4", split="test", start_s=1, end_s=2),
        item("y.mp4", split="test"),
    )
    videos(tmp_path, "x.mp4", "y.mp4")
    assert len(read(tmp_path, "captions", "test").videos) == 2
    assert "1 videos have segments in more than one split" in caplog.text
    assert "x.mp4" in caplog.text


def test_segments_of_one_file_stay_together_when_val_is_drawn(tmp_path):
    items = [
        item(f"train/{n}.mp4", f"{n} {k}", start_s=k, end_s=k + 1)
        for n in range(20)
        for k in range(3)
    ]
    captions(tmp_path, *items)
    videos(tmp_path, *(f"train/{n}.mp4" for n in range(20)))
    val = read(tmp_path, "captions", "val", val_ratio=0.29)
    train = read(tmp_path, "captions", "train", val_ratio=0.29)
    files = {video.path for video in val.videos}
    assert len(files) == 5
    assert len(val.videos) == 15
    assert not files & {video.path for video in train.videos}


def test_another_folder_of_videos_and_another_file(tmp_path):
    put(tmp_path, {"own/c.json": [item("x.mp4", split="test")], "films/x.mp4": b""})
    data = read(tmp_path, "captions", "test", annotations=str(tmp_path / "own/c.json"),
                videos=str(tmp_path / "films"))  # fmt: skip
    assert data.videos[0].path == tmp_path / "films/x.mp4"


def test_a_path_is_taken_as_it_is(tmp_path):
    captions(tmp_path, item("test/x.mp4"), item("test/y.mp4"))
    videos(tmp_path, "test/y.mp4", "train/x.mp4", "x.mp4")
    data = read(tmp_path, "captions", "test")
    assert [(video.id, video.line) for video in data.missing] == [("test/x", 3)]


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"caption": " "}, "caption is empty"),
        ({"caption": 3}, "caption = 3 is not a text"),
        ({"caption": "\ud800"}, "caption = .* is not a text"),
        ({"video_path": "../x.mp4"}, r"not below the videos: it leaves its folder by '\.\.'"),
        ({"video_path": "/x.mp4"}, "it is absolute"),
        ({"video_path": "other/x.mp4"}, "in none of train/, val/, test/ and no field 'split'"),
        ({"video_path": "x.mp4", "split": "dev"}, "in none of train/"),
        ({"start_s": -1}, "start_s = -1 is before the first frame"),
        ({"start_s": "1"}, 'start_s = "1" is not a number'),
        ({"start_s": 2, "end_s": 2}, "end_s = 2 is not after start_s = 2"),
        ({"end_s": float("nan")}, "end_s = NaN is not a number"),
        ({"end_s": 0}, "end_s = 0 is not after"),
        ({"id": 1.5}, "id = 1.5 is not a text or a whole number"),
    ],
)
def test_every_fault_names_its_line(tmp_path, fault, says):
    captions(tmp_path, item(), {**item(), **fault})
    with pytest.raises(DataError, match=rf"1 entry.*\n  line 7: .*{says}"):
        read(tmp_path, "captions", "train")


def test_faults_between_items(tmp_path):
    captions(tmp_path, item(id="a"), item("train/b.mp4", id="a"), "text",
             item("x.mp4", split="val"), item("x.mp4", split="test"))  # fmt: skip
    with pytest.raises(DataError) as caught:
        read(tmp_path, "captions", "train")
    message = caught.value.message
    assert "3 entries" in message
    assert 'line 8: id "a" is that of another video or segment on line 3' in message
    assert 'line 13: "text" is not an object' in message
    assert "line 19: split 'test', but 'val' on line 14" in message


def test_many_faults_are_counted(tmp_path):
    captions(tmp_path, *(item(caption="") for _ in range(30)))
    with pytest.raises(DataError, match=r"30 entries.*\n(.*\n){10}.*and 20 more"):
        read(tmp_path, "captions", "train")


def test_a_missing_file_says_what_it_holds(tmp_path):
    with pytest.raises(DataError, match=r"No caption file .*captions\.json.*\n.*video_path"):
        read(tmp_path, "captions", "train")
    put(tmp_path, {"captions.json": '{"items": []}'})
    with pytest.raises(DataError, match="no list 'data'"):
        read(tmp_path, "captions", "train")
    put(tmp_path, {"captions.json": '{"data": []}'})
    with pytest.raises(DataError, match="no videos in train"):
        read(tmp_path, "captions", "train")

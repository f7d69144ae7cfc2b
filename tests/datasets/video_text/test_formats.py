"""Every format as it is distributed: which videos, which texts, what is missing on which line."""

import pickle
import unicodedata

import numpy as np
import pytest

from pipeline_lib.config import VideoTextConfig
from pipeline_lib.datasets.video_text import VIDEO_TEXT, MissingVideo
from pipeline_lib.datasets.video_text.reading import read_video_text
from pipeline_lib.errors import ConfigError, DataError
from tests.datasets.video_text.corpus import missing_of, put, read, texts_of, videos

BOM = "﻿"


def msrvtt(root, train="video_id\nvideo0\nvideo1\nvideo9\n"):
    sentence = {"caption": "a man sings", "video_id": "video0", "sen_id": 0}
    return put(
        root,
        {
            "MSRVTT_data.json": {
                "info": {},
                "videos": [{"video_id": "video0", "split": "train", "start time": 1.0}],
                "sentences": [
                    sentence,
                    {**sentence, "caption": " a man sings "},
                    {**sentence, "caption": "rain", "video_id": "video1"},
                    {**sentence, "caption": "unlisted", "video_id": "video5"},
                    {**sentence, "caption": "no file", "video_id": "video9"},
                ],
            },
            "MSRVTT_train.9k.csv": train,
            "MSRVTT_train.7k.csv": "video_id\nvideo1\n",
            "MSRVTT_JSFUSION_test.csv": BOM
            + 'key,vid_key,video_id,sentence\r\nret0,msr7,video7,"a dog, and a cat"\r\n'
            "ret1,msr8,video8,a dog\r\n\r\n",
        },
    )


def test_msrvtt(tmp_path):
    videos(msrvtt(tmp_path), "TrainVal/video0.mp4", "TrainVal/video1.mp4", "video7.mp4")
    train = read(tmp_path, "msrvtt", "train", val_ratio=0.0)
    assert texts_of(train) == {"video0": ["a man sings", "a man sings"], "video1": ["rain"]}
    assert train.video_of_text.tolist() == [0, 0, 1]
    assert train.video_of_text.dtype == np.int64
    assert missing_of(train) == [("video9", 4)]
    assert texts_of(read(tmp_path, "msrvtt", "train", variant="7k")) == {"video1": ["rain"]}
    test = read(tmp_path, "msrvtt", "test")
    assert texts_of(test) == {"video7": ["a dog, and a cat"]}
    assert missing_of(test) == [("video8", 3)]


def test_msrvtt_knows_its_training_lists(tmp_path):
    videos(msrvtt(tmp_path), "video0.mp4")
    with pytest.raises(ConfigError, match=r"variant = '8k'.*\n.*9k"):
        read(tmp_path, "msrvtt", "train", variant="8k")


def test_msvd(tmp_path):
    captions = {"-4wsuPCjDBc_5_15": [["a", "dog"], ["it", "runs"]], "b_1_2": [["a", "cat"]]}
    put(
        tmp_path,
        {
            "train_list.txt": "-4wsuPCjDBc_5_15\r\nb_1_2\r\n",
            "val_list.txt": "b_1_2\n",
            "test_list.txt": "b_1_2",
            "raw-captions.pkl": pickle.dumps(captions, protocol=2),
        },
    )
    videos(tmp_path, "-4wsuPCjDBc_5_15.avi", "b_1_2.avi")
    assert texts_of(read(tmp_path, "msvd", "train")) == {
        "-4wsuPCjDBc_5_15": ["a dog", "it runs"],
        "b_1_2": ["a cat"],
    }
    assert texts_of(read(tmp_path, "msvd", "val")) == {"b_1_2": ["a cat"]}


def test_didemo_joins_a_video_to_a_paragraph(tmp_path):
    def moment(video, description):
        return {"video": video, "description": description, "times": [[0, 0]], "num_segments": 6}

    data = [moment("1_a.mov", "first."), moment("2_b.3gp", "x"), moment("1_a.mov", "then."),
            moment("3_c.mp4", "unlisted")]  # fmt: skip
    put(tmp_path, {"test_data.json": data, "test_list.txt": "2_b.3gp\n1_a.mov\n9_z.avi\n"})
    videos(tmp_path, "1_a.mov", "2_b.3gp.mp4", "3_c.mp4")
    test = read(tmp_path, "didemo", "test")
    assert texts_of(test) == {"2_b.3gp": ["x"], "1_a.mov": ["first. then."]}
    assert [video.path.name for video in test.videos] == ["2_b.3gp.mp4", "1_a.mov"]
    assert {video.at_most_s for video in test.videos} == {30.0}
    assert missing_of(test) == [("9_z.avi", 3)]
    (tmp_path / "test_list.txt").unlink()
    assert list(texts_of(read(tmp_path, "didemo", "test"))) == ["1_a.mov", "2_b.3gp", "3_c.mp4"]


def test_activitynet(tmp_path):
    def moments(*sentences):
        return {"duration": 9.0, "timestamps": [[0, 1]] * len(sentences), "sentences": sentences}

    put(
        tmp_path,
        {
            "val_1.json": {"v_--1": moments(" One.", "Two. "), "v_b": moments("B.")},
            "val_ids.json": ["v_--1", "v_b", "v_c", "v_d"],
            "video_path.json": {"--1": "deep/--1.avi", "c": "c.avi"},
        },
    )
    videos(tmp_path, "--1.mp4", "b.webm", "c.avi")
    test = read(tmp_path, "activitynet", "test")
    assert texts_of(test) == {"--1": ["One. Two."], "b": ["B."]}
    assert [(video.id, video.line) for video in test.missing] == [("c", 4), ("d", 5)]
    assert test.missing[0].reason == "it has no captions"
    assert "no such video" in test.missing[1].reason


def test_vatex(tmp_path):
    put(tmp_path, {"ref_captions.json": {"x_1_2": ["a", "b", "a"], "y_1_2": ["c"]},
                   "train_list.txt": "x_1_2\n", "test_list.txt": "y_1_2\nx_1_2\n"})  # fmt: skip
    videos(tmp_path, "x_1_2.mp4", "y_1_2.mp4")
    assert texts_of(read(tmp_path, "vatex", "test")) == {"y_1_2": ["c"], "x_1_2": ["a", "b", "a"]}
    put(tmp_path, {"val_list.txt": "x_1_2\n"})
    assert texts_of(read(tmp_path, "vatex", "val")) == {"x_1_2": ["a", "b", "a"]}


def test_lsmdc_is_separated_by_tabs(tmp_path):
    name = "LSMDC16_challenge_1000_publictect.csv"
    rows = [
        '1_Film_00.00.51.926-00.00.54.129\t0\t1\t0\t1\tHe "says',
        "1_Film_00.00.51.926-00.00.54.129\t0\t1\t0\t1\tshe sits, he stands",
        "2_Film_00.01.00.000-00.01.02.000\t0\t1\t0\t1\tnothing",
    ]
    put(tmp_path, {name: "\r\n".join(rows)})
    videos(tmp_path, "Film/1_Film_00.00.51.926-00.00.54.129.avi")
    test = read(tmp_path, "lsmdc", "test")
    assert test.texts == ('He "says', "she sits, he stands")
    assert missing_of(test) == [("2_Film_00.01.00.000-00.01.02.000", 3)]
    put(tmp_path, {name: rows[0] + "\na\tb\n"})
    with pytest.raises(DataError, match=r"1 entry.*\n.*line 2: 2 cells between tabs instead of 6"):
        read(tmp_path, "lsmdc", "test")


@pytest.mark.parametrize("kind", sorted(set(VIDEO_TEXT) - {"captions"}))
def test_a_missing_file_is_named_with_its_origin(tmp_path, kind):
    (tmp_path / "videos").mkdir()
    with pytest.raises(DataError, match=rf"{tmp_path}: no .* in this folder\.\n.*distributed"):
        read(tmp_path, kind, "train")


def test_val_is_drawn_from_train_where_there_is_no_list(tmp_path):
    names = [f"video{number}" for number in range(40)]
    csv = "\n".join(["video_id", *names])
    sentences = [{"video_id": name, "caption": name} for name in names]
    put(tmp_path, {"MSRVTT_data.json": {"sentences": sentences}, "MSRVTT_train.9k.csv": csv})
    videos(tmp_path, *(f"{name}.mp4" for name in names))
    val = texts_of(read(tmp_path, "msrvtt", "val"))
    train = texts_of(read(tmp_path, "msrvtt", "train"))
    assert len(val) == 4
    assert not val.keys() & train.keys()
    assert val.keys() | train.keys() == set(names)
    # By the names alone: another order of the list draws the same videos.
    put(tmp_path, {"MSRVTT_train.9k.csv": "\n".join(["video_id", *reversed(names)])})
    assert texts_of(read(tmp_path, "msrvtt", "val")) == val
    with pytest.raises(DataError, match=r"no videos in val.*\n.*val_ratio"):
        read(tmp_path, "msrvtt", "val", val_ratio=0.0)


def test_unicode_forms_and_repeated_ids(tmp_path, caplog):
    listed = BOM + unicodedata.normalize("NFD", "é_1\r\né_1\r\n")
    put(tmp_path, {"ref_captions.json": {"é_1": ["a"]}, "test_list.txt": listed})
    videos(tmp_path, unicodedata.normalize("NFD", "é_1.mp4"))
    assert texts_of(read(tmp_path, "vatex", "test")) == {"é_1": ["a"]}
    assert "'é_1' on lines 1 and 2" in caplog.text


def test_two_files_of_one_name_are_not_guessed_between(tmp_path, caplog):
    put(tmp_path, {"ref_captions.json": {"a": ["a"], "b": ["b"]}, "test_list.txt": "a\nb\n"})
    videos(tmp_path, "x/a.mp4", "y/a.avi", "b.mp4")
    test = read(tmp_path, "vatex", "test")
    assert list(texts_of(test)) == ["b"]
    assert test.missing[0].reason == "several videos have this name: x/a.mp4, y/a.avi"
    assert "test: 1 of 2 videos are left out: a: several" in caplog.text


def test_no_name_leads_out_of_the_videos(tmp_path):
    put(tmp_path, {"ref_captions.json": {"../secret": ["a"], "b": ["b"]},
                   "test_list.txt": "../secret\nb\n", "secret.mp4": b""})  # fmt: skip
    videos(tmp_path, "b.mp4")
    assert missing_of(read(tmp_path, "vatex", "test")) == [("../secret", 1)]


def test_when_no_video_is_there(tmp_path):
    put(tmp_path, {"ref_captions.json": {"a": ["a"]}, "test_list.txt": "a\n"})
    with pytest.raises(DataError, match="No folder of videos"):
        read(tmp_path, "vatex", "test")
    (tmp_path / "videos").mkdir()
    with pytest.raises(DataError, match="none of the 1 videos in test can be used"):
        read(tmp_path, "vatex", "test")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"a": ["x"],\n "a": ["y"]}', 'line 2: a second "a"; the first is on line 1'),
        ('{"a": "x"}', 'line 1: captions of "a" = "x" is not a list'),
        ('{"a":\n ["x", 3]}', r'line 1: captions of "a"\[1\] = 3 is not a text'),
        ('["a"]', "not an object"),
        ('{"a": ["x"]', "not valid JSON"),
    ],
)
def test_faults_of_json_name_their_line(tmp_path, content, says):
    put(tmp_path, {"ref_captions.json": content, "test_list.txt": "a\n"})
    with pytest.raises(DataError, match=says):
        read(tmp_path, "vatex", "test")


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("key,sentence\nret0,a\n", "line 1: no column 'video_id'; it has key, sentence"),
        ("video_id,sentence\nvideo7,a\nvideo8\n", "line 3: 1 cells where the header has 2"),
        (b"video_id,sentence\nvideo7,\xff\n", "line 2: not UTF-8"),
    ],
)
def test_faults_of_tables_name_their_line(tmp_path, table, says):
    put(tmp_path, {"MSRVTT_JSFUSION_test.csv": table})
    with pytest.raises(DataError, match=says):
        read(tmp_path, "msrvtt", "test")


def test_only_msrvtt_has_variants(tmp_path):
    with pytest.raises(ConfigError, match="variant = '9k', but 'vatex' has one training list"):
        read(tmp_path, "vatex", "test", variant="9k")


def test_unknown_formats_and_splits(tmp_path):
    with pytest.raises(ConfigError, match=r"video-text format 'msrvt'.*\n.*msrvtt"):
        read_video_text(VideoTextConfig(kind="msrvt"), tmp_path, "train")
    with pytest.raises(DataError, match="No split 'dev'"):
        read(tmp_path, "vatex", "dev")


def test_what_turns_out_to_be_broken_is_left_out(tmp_path):
    put(tmp_path, {"ref_captions.json": {"a": ["1", "2"], "b": ["3"], "c": ["4", "5"]},
                   "test_list.txt": "a\nb\nc\n"})  # fmt: skip
    videos(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    data = read(tmp_path, "vatex", "test")
    rest = data.without([MissingVideo("a", "a.mp4", "truncated")])
    assert texts_of(rest) == {"b": ["3"], "c": ["4", "5"]}
    assert rest.video_of_text.tolist() == [0, 1, 1]
    assert [video.id for video in rest.missing] == ["a"]

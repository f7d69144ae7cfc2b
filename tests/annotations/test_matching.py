import unicodedata
from pathlib import Path

import pytest

from pipeline_lib.annotations.events_csv import EventRow
from pipeline_lib.annotations.folder import EventTable
from pipeline_lib.annotations.matching import match_events
from pipeline_lib.annotations.names import match_name, stem_of


def match(rows, videos, class_name="fall"):
    """Match (name, start, end) rows of one class against {video id: seconds}."""
    table = EventTable(
        Path("fall_timestamp.csv"),
        tuple(EventRow(i + 2, *row) for i, row in enumerate(rows)),
    )
    return match_events({class_name: table}, videos)


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a.mp4", "a"),
        ("a.MP4", "a"),
        ("a.npy", "a"),
        ("cam.1_003", "cam.1_003"),
        ("cam.1_003.mp4", "cam.1_003"),
        ("001", "001"),
        (".mp4", ".mp4"),
        ("a.txt", "a.txt"),
    ],
)
def test_only_known_suffixes_are_stripped(name, stem):
    assert stem_of(name) == stem


def test_match_name_prefers_the_exact_one_and_refuses_to_guess():
    assert match_name("Normal", ["normal", "fall"]) == "normal"
    assert match_name("fall", ["Fall", "fall"]) == "fall"
    assert match_name("FALL", ["Fall", "fall"]) is None
    assert match_name("walk", ["Fall", "fall"]) is None


@pytest.mark.parametrize("name", ["001", "001.mp4", "cam.1_003", "cam.1_003.mp4", "001.npy"])
def test_names_with_and_without_suffix(name):
    videos = {"train/fall/001": 10.0, "train/fall/cam.1_003": 10.0, "train/fall/1": 10.0}
    found = match([(name, 1.0, 2.0)], videos)
    assert found.events == {f"train/fall/{stem_of(name)}": ((1.0, 2.0),)}
    assert found.unmatched_rows == 0


def test_a_stem_that_looks_like_a_suffix_matches_whole():
    videos = {"train/fall/a.ts": 10.0, "train/fall/a": 10.0}
    assert list(match([("a.ts", 1.0, 2.0)], videos).events) == ["train/fall/a.ts"]


def test_either_unicode_form_matches():
    name = "쓰러짐"
    decomposed = unicodedata.normalize("NFD", name)
    assert decomposed != name
    assert match([(name, 1.0, 2.0)], {f"train/fall/{decomposed}": 9.0}).unmatched_rows == 0


def test_encoder_is_ignored_only_where_nothing_else_fits():
    rows = [("Abuse001", 1.0, 2.0), ("Abuse002_x264.mp4", 3.0, 4.0)]
    found = match(rows, {"train/fall/Abuse001_x264": 9.0, "train/fall/Abuse002": 9.0})
    assert found.events == {
        "train/fall/Abuse001_x264": ((1.0, 2.0),),
        "train/fall/Abuse002": ((3.0, 4.0),),
    }
    both = {"train/fall/Abuse001_x264": 9.0, "train/fall/Abuse001": 9.0}
    assert list(match(rows[:1], both).events) == ["train/fall/Abuse001"]


def test_no_substring_matching(caplog):
    found = match([("Abuse_1", 1.0, 2.0), ("use_10", 1.0, 2.0)], {"train/fall/Abuse_10": 9.0})
    assert found.events == {}
    assert found.unmatched_rows == 2
    assert "2 of 2 rows name no video of class 'fall'" in caplog.text
    assert "row 2 'Abuse_1' (near: 'Abuse_10')" in caplog.text


def test_a_table_speaks_of_its_own_class_only():
    videos = {"train/fall/a": 9.0, "train/fight/a": 9.0, "train/fight/b": 9.0}
    found = match([("a", 1.0, 2.0), ("b", 1.0, 2.0)], videos)
    assert list(found.events) == ["train/fall/a"]
    assert found.unmatched_rows == 1


def test_one_name_in_two_splits_is_said(caplog):
    found = match([("a", 1.0, 2.0)], {"train/fall/a": 9.0, "val/fall/a": 9.0})
    assert list(found.events) == ["train/fall/a", "val/fall/a"]
    assert "'a' in train, val" in caplog.text


def test_events_are_merged_per_video():
    rows = [("a", 5.0, 6.0), ("a.mp4", 1.0, 3.0), ("a", 3.0, 4.0)]
    assert match(rows, {"train/fall/a": 9.0}).events == {"train/fall/a": ((1.0, 4.0), (5.0, 6.0))}


def test_events_beyond_the_end(caplog):
    rows = [("a", 5.0, 12.0), ("b", 10.0, 12.0), ("c", 9.0, 10.0)]
    found = match(rows, {f"train/fall/{stem}": 10.0 for stem in "abc"})
    assert found.events == {"train/fall/a": ((5.0, 10.0),), "train/fall/c": ((9.0, 10.0),)}
    assert found.unmatched_rows == 0
    assert "1 events cut at the end of their video. First: train/fall/a [5, 12) s" in caplog.text
    assert "1 events ignored" in caplog.text
    assert "train/fall/b [10, 12) s in 10 s" in caplog.text
    assert "train/fall/c" not in caplog.text


def test_a_class_without_videos_leaves_its_rows_unmatched():
    assert match([("a", 1.0, 2.0)], {"train/normal/a": 9.0}).unmatched_rows == 1

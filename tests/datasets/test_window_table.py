import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.config import WindowConfig
from pipeline_lib.datasets.index_tables import WINDOW_COLUMNS
from pipeline_lib.datasets.window_table import count_windows, make_windows
from pipeline_lib.errors import DataError
from pipeline_lib.storage.features import Manifest, VideoEntry


def manifest(rows, every_s=1.0, offset_s=0.0):
    """A manifest of {video id: rows}."""
    videos = {
        video: VideoEntry(
            sha256="", rows=n, clips=1, duration_s=offset_s + n * every_s, decode_errors=0
        )
        for video, n in rows.items()
    }
    return Manifest(
        backbone="clip", fingerprint="f", weights_id="w", weights_sha256="s", trained=True, dim=4,
        every_s=every_s, videos=videos, offset_s=offset_s,
    )  # fmt: skip


def windows(rows, events, every_s=1.0, offset_s=0.0, **config):
    return make_windows(manifest(rows, every_s, offset_s), events, WindowConfig(**config))


def test_the_table():
    table = windows(
        {"train/normal/n": 1, "train/fall/a": 4, "val/fall/v": 3},
        {"train/fall/a": [(1.0, 2.0)], "val/fall/v": [(0.0, 1.0)]},
    )
    assert tuple(table.columns) == WINDOW_COLUMNS
    assert table.astype(object).to_numpy().tolist() == [
        ["train/fall/a", "train", "fall", 0, 1, 0.0, 1.0, False, "normal", True, ""],
        ["train/fall/a", "train", "fall", 1, 1, 1.0, 2.0, True, "fall", True, ""],
        ["train/fall/a", "train", "fall", 2, 1, 2.0, 3.0, False, "", False, "after_first_event"],
        ["train/fall/a", "train", "fall", 3, 1, 3.0, 4.0, False, "", False, "after_first_event"],
        ["train/normal/n", "train", "normal", 0, 1, 0.0, 1.0, False, "normal", True, ""],
        ["val/fall/v", "val", "fall", 0, 1, 0.0, 1.0, True, "fall", True, ""],
        ["val/fall/v", "val", "fall", 1, 1, 1.0, 2.0, False, "normal", True, ""],
        ["val/fall/v", "val", "fall", 2, 1, 2.0, 3.0, False, "normal", True, ""],
    ]
    kinds = {name: str(table[name].dtype) for name in table.columns}
    assert [name for name, kind in kinds.items() if kind == "category"] == [
        "video", "split", "class_name", "label", "reason",
    ]  # fmt: skip
    assert [name for name, kind in kinds.items() if kind == "int64"] == ["start_row", "n_rows"]
    assert [name for name, kind in kinds.items() if kind == "bool"] == ["overlaps_event", "kept"]


def test_rows_are_sorted_by_directory_not_by_id():
    table = windows({"train/a b/x": 1, "train/a/x": 1, "train/a/w": 1, "test/a/x": 1}, {})
    # As text "train/a b/x" comes before "train/a/x".
    assert table["video"].tolist() == ["test/a/x", "train/a/w", "train/a/x", "train/a b/x"]


def test_overlap_and_strict_rule_are_for_training_only():
    rows = {f"{split}/fall/a": 8 for split in ("train", "val", "test")}
    table = windows(
        rows, {video: [(0.0, 2.0)] for video in rows}, unit_duration=4, overlap_ratio=0.5
    )
    starts = table.groupby("split")["start_row"].apply(list).to_dict()
    assert starts == {"train": [0, 2, 4], "val": [0, 4], "test": [0, 4]}
    assert table.groupby("split")["reason"].apply(list).to_dict() == {
        "train": ["", "after_first_event", "after_first_event"],
        "val": ["", "no_normal_class"],
        "test": ["", "no_normal_class"],
    }


def test_strict_rule_can_be_off():
    table = windows(
        {"train/fall/a": 4, "train/normal/n": 1},
        {"train/fall/a": [(1.0, 2.0)]},
        strict_normal_sampling=False,
    )
    assert table["label"].tolist() == ["normal", "fall", "normal", "normal", "normal"]


def test_short_videos_have_no_training_window_and_one_short_one_elsewhere():
    table = windows(
        {"train/fall/a": 3, "train/fall/b": 4, "val/fall/c": 3, "test/fall/d": 5},
        {"val/fall/c": [(2.5, 3.0)]},
        unit_duration=4,
    )
    assert table[["video", "start_row", "n_rows"]].to_numpy().tolist() == [
        ["test/fall/d", 0, 4],
        ["train/fall/b", 0, 4],
        ["val/fall/c", 0, 3],
    ]
    assert table["end_s"].tolist() == [4.0, 4.0, 3.0]
    assert table["overlaps_event"].tolist() == [False, False, True]


def test_normal_class_is_found_in_any_letter_case_and_its_events_ignored():
    table = windows({"train/Normal/n": 2, "train/fall/a": 2},
                    {"train/Normal/n": [(0.0, 1.0)], "train/fall/a": [(1.0, 2.0)]})  # fmt: skip
    assert table["label"].tolist() == ["Normal", "Normal", "Normal", "fall"]
    assert table["overlaps_event"].tolist() == [False, False, False, True]


@pytest.mark.parametrize(
    ("every_s", "event", "inside"),
    [
        (0.1, (0.3, 0.4), [3]),  # 0.3 / 0.1 is 2.9999999999999996
        (0.5, (1.0, 2.0), [2, 3]),
        (2.0, (3.0, 4.5), [1, 2]),
    ],
)
def test_rows_that_are_not_seconds(every_s, event, inside):
    table = windows({"train/fall/a": 6}, {"train/fall/a": [event]}, every_s, pre_event="class")
    assert table.loc[table["overlaps_event"], "start_row"].tolist() == inside
    assert table["start_s"].tolist() == [pytest.approx(k * every_s) for k in range(6)]
    assert table["end_s"].iloc[-1] == pytest.approx(6 * every_s)


@pytest.mark.parametrize(
    ("every_s", "offset_s", "start_s", "labels"),
    [
        # [-1, 0) and [0, 1) lie before the event, [1, 2) and [2, 3) in it, [3, 4) after it.
        (1.0, -1.0, [-1, 0, 1, 2, 3], ["normal", "normal", "fall", "fall", ""]),
        # [0.5, 1.5) overlaps the event, so no window lies before it.
        (1.0, 0.5, [0.5, 1.5, 2.5, 3.5, 4.5], ["fall", "fall", "", "", ""]),
        # [-0.3, 0.7), [0.7, 1.7), [1.7, 2.7): 2.5 lies in the third.
        (1.0, -0.3, [-0.3, 0.7, 1.7, 2.7, 3.7], ["normal", "fall", "fall", "", ""]),
        # The event ends as row 0 starts; touching is no overlap.
        (1.0, 2.5, [2.5, 3.5, 4.5, 5.5, 6.5], ["", "", "", "", ""]),
        # (1.0 - 0.8) / 0.1 is 1.9999999999999996; row 1 ends as the event starts.
        (0.1, 0.8, [0.8, 0.9, 1.0, 1.1, 1.2], ["normal", "normal", "fall", "fall", "fall"]),
    ],
)
def test_rows_that_start_at_another_time_than_their_video(every_s, offset_s, start_s, labels):
    rows, events = {"train/fall/a": 5}, {"train/fall/a": [(1.0, 2.5)]}
    table = windows({**rows, "train/normal/n": 1}, events, every_s, offset_s)[:5]
    assert table["start_s"].to_numpy() == pytest.approx(start_s)
    assert table["end_s"].to_numpy() == pytest.approx([start + every_s for start in start_s])
    assert table["start_row"].tolist() == [0, 1, 2, 3, 4]
    assert table["label"].tolist() == labels


def test_unannotated():
    rows = {"train/fall/a": 2, "train/fall/b": 1, "train/normal/n": 1, "test/fall/t": 1}
    events = {"train/fall/a": [(0.0, 2.0)]}
    kept = windows(rows, events)
    assert kept["kept"].all()
    assert kept["label"].tolist() == ["fall", "fall", "fall", "fall", "normal"]
    skipped = windows(rows, events, unannotated="skip")
    assert skipped["reason"].tolist() == ["unannotated", "", "", "unannotated", ""]
    with pytest.raises(
        DataError, match="No annotated event in test/fall/t, train/fall/b"
    ) as caught:
        windows(rows, events, unannotated="error")
    assert "train.unannotated" in caught.value.hint


def test_overlap_without_effect_is_said(caplog):
    windows({"train/fall/a": 2}, {}, overlap_ratio=0.5)
    assert "overlap_ratio 0.5 has no effect" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        windows({"train/fall/a": 2}, {}, unit_duration=2, overlap_ratio=0.5)
    assert not caplog.text


def test_bad_manifests():
    with pytest.raises(DataError, match="train/fall/a has no feature row"):
        windows({"train/fall/a": 0}, {})
    with pytest.raises(DataError, match="features of clip: no video of a split"):
        windows({"loose/fall/a": 2}, {})
    with pytest.raises(DataError, match="class 'fal' of test is not in train"):
        windows({"train/fall/a": 2, "test/fal/b": 2}, {})


def test_videos_to_measure_need_no_training_video():
    table = windows({"test/normal/b": 2, "test/fall/a": 1}, {})
    assert table["label"].tolist() == ["fall", "normal", "normal"]


def test_videos_outside_a_split_have_no_window():
    table = windows({"train/fall/a": 1, "qa/b": 1, "loose/fall/c": 1}, {})
    assert table["video"].tolist() == ["train/fall/a"]


def test_counts():
    rows = {"train/fall/a": 4, "train/fall/s": 1, "train/normal/n": 2, "val/fall/v": 3}
    events = {"train/fall/a": [(2.0, 3.0)]}
    config = WindowConfig(unit_duration=2, unannotated="skip")
    table = windows(rows, events, unit_duration=2, unannotated="skip")
    counts = count_windows(table, manifest(rows), events, config)
    assert counts["settings"]["normal_class"] == "normal"
    assert counts["settings"]["pre_event"] == "normal"
    no_drop = {"after_first_event": 0, "event_free": 0, "no_normal_class": 0, "unannotated": 0}
    assert counts["train"] == {
        "videos": 3, "short_videos": 1, "unannotated_videos": 1, "events": 1, "windows": 3,
        "kept": 3, "dropped": no_drop, "kept_per_label": {"fall": 1, "normal": 2},
    }  # fmt: skip
    assert counts["val"] == {
        "videos": 1, "short_videos": 0, "unannotated_videos": 1, "events": 0, "windows": 1,
        "kept": 0, "dropped": {**no_drop, "unannotated": 1},
        "kept_per_label": {"fall": 0, "normal": 0},
    }  # fmt: skip
    assert counts["test"]["videos"] == counts["test"]["windows"] == 0


@given(
    st.dictionaries(
        st.tuples(st.sampled_from(["train", "val", "test"]), st.sampled_from(["fall", "normal"]),
                  st.sampled_from("abc")),
        st.integers(1, 12), min_size=1,
    ),
    st.integers(1, 5),
    st.sampled_from([0.0, 0.5, 0.8]),
    st.sampled_from(["normal", "class", "drop"]),
    st.sampled_from(["keep", "skip"]),
)  # fmt: skip
def test_whatever_the_settings(videos, unit, overlap, pre_event, unannotated):
    rows = {"train/fall/0": 6, "train/normal/0": 3}
    rows |= {"/".join(parts): n for parts, n in videos.items()}
    events = {video: [(1.0, 2.5)] for video in rows if video.endswith("/a")}
    table = windows(
        rows, events, unit_duration=unit, overlap_ratio=overlap, pre_event=pre_event,
        unannotated=unannotated,
    )  # fmt: skip
    assert (table["kept"] == (table["reason"] == "")).all()
    assert (table["kept"] == (table["label"] != "")).all()
    assert table.loc[table["overlaps_event"], "kept"].all()
    ends = table["start_row"] + table["n_rows"]
    assert (ends <= [rows[video] for video in table["video"]]).all()
    measured = {video for video in rows if not video.startswith("train/")}
    assert measured <= set(table["video"])
    assert not table.duplicated(["video", "start_row"]).any()

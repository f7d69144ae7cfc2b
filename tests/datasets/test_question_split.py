"""Splits of question items."""

import logging

import pandas as pd
import pytest

from pipeline_lib.config import PosNegConfig
from pipeline_lib.datasets.question_split import split_of_items
from pipeline_lib.errors import DataError


def table(*rows):
    """Rows of (id, video_path, video_sha256[, status])."""
    columns = ["id", "video_path", "video_sha256", "status"]
    return pd.DataFrame([(*row, "mined")[:4] for row in rows], columns=columns)


def ratio(val=0.2, test=0.0, seed=1):
    return PosNegConfig(split="ratio", val_ratio=val, test_ratio=test, seed=seed)


def videos(n, items_each=2):
    return table(
        *((f"q{v}_{i}", f"v{v}.mp4", f"{v:064x}") for v in range(n) for i in range(items_each))
    )


FOLDER = PosNegConfig(split="folder")


def test_folders_decide():
    items = table(
        ("a", "train/fall/a.mp4", "1"),
        ("b", "./val//fall/a.mp4", "2"),
        ("c", "test/a.mp4", "3"),
    )
    items.index = [7, 3, 5]
    splits = split_of_items(items, FOLDER)
    assert splits.to_dict() == {7: "train", 3: "val", 5: "test"}


@pytest.mark.parametrize("path", ["fall/a.mp4", "Train/a.mp4", "training/a.mp4"])
def test_a_video_outside_the_split_folders_is_named_with_the_remedy(path):
    items = table(("a", "train/a.mp4", "1"), ("b", path, "2"), ("c", path, "2"))
    with pytest.raises(DataError, match=r"Item 'b': video_path .* is in none of .*\(2 such"):
        split_of_items(items, FOLDER)
    with pytest.raises(DataError, match=r"train\.pos_neg\.split: ratio"):
        split_of_items(items, FOLDER)


def test_items_without_frames_need_no_folder():
    items = table(
        ("a", "train/a.mp4", "1"), ("", "", "", "failed"), ("c", "val/c.mp4", "", "failed")
    )
    assert list(split_of_items(items, FOLDER)) == ["train", "", "val"]


def test_one_recording_in_two_folders_is_a_leak(caplog):
    items = table(
        ("a", "train/fall/a.mp4", "1"),
        ("b", "train/fall/copy.mp4", "1"),
        ("c", "test/fall/b.mp4", "1"),
        ("d", "val/fall/d.mp4", "2"),
        ("e", "val/fall/unread.mp4", "", "failed"),
        ("f", "train/fall/unread.mp4", "", "failed"),
    )
    with caplog.at_level(logging.WARNING):
        split_of_items(items, FOLDER)
    (record,) = caplog.records
    assert "1 videos are in more than one split" in record.getMessage()
    assert "train/fall/a.mp4 = test/fall/b.mp4." in record.getMessage()


def test_no_leak_no_warning(caplog):
    items = table(("a", "train/a.mp4", "1"), ("b", "train/b.mp4", "1"), ("c", "val/c.mp4", "2"))
    split_of_items(items, FOLDER)
    split_of_items(items, ratio())
    assert caplog.records == []


@pytest.mark.parametrize(
    ("n", "val", "test", "expected"),
    [
        (10, 0.2, 0.0, (8, 2, 0)),
        (10, 0.25, 0.25, (6, 2, 2)),
        (100, 0.29, 0.07, (64, 29, 7)),  # 0.29 * 100 is 28.999999999999996 to a computer
        (4, 0.2, 0.2, (4, 0, 0)),
        (1, 0.9, 0.0, (1, 0, 0)),
        (3, 0.0, 0.0, (3, 0, 0)),
    ],
)
def test_shares_are_of_videos(n, val, test, expected):
    items = videos(n)
    splits = split_of_items(items, ratio(val, test))
    per_video = splits.groupby(items["video_path"]).unique()
    assert all(len(found) == 1 for found in per_video)
    counts = per_video.map(lambda found: found[0]).value_counts()
    assert tuple(counts.get(name, 0) for name in ("train", "val", "test")) == expected


def test_copies_of_a_video_stay_together():
    items = videos(20, items_each=1)
    copies = items.assign(id="copy_" + items["id"], video_path="other/" + items["video_path"])
    both = pd.concat([items, copies], ignore_index=True)
    splits = split_of_items(both, ratio(0.3, 0.3))
    assert list(splits[:20]) == list(splits[20:])
    assert set(splits) == {"train", "val", "test"}


def test_a_draw_depends_on_the_videos_and_the_seed_alone():
    items = videos(30)
    expected = split_of_items(items, ratio(0.3, 0.2))
    shuffled = items.sample(frac=1, random_state=3)
    pd.testing.assert_series_equal(split_of_items(shuffled, ratio(0.3, 0.2)).sort_index(), expected)
    one_each = items[items["id"].str.endswith("_1")]
    assert split_of_items(one_each, ratio(0.3, 0.2)).equals(expected[one_each.index])
    renamed = items.assign(id="x", video_path="y.mp4", question="z")
    assert split_of_items(renamed, ratio(0.3, 0.2)).equals(expected)
    assert not split_of_items(items, ratio(0.3, 0.2, seed=2)).equals(expected)


def test_items_that_were_not_mined_do_not_move_the_others():
    items = videos(20)
    expected = split_of_items(items, ratio(0.3))
    more = table(
        ("x", "v0.mp4", "", "failed"),
        ("y", "gone.mp4", "", "failed"),
        *((f"z{k}", f"empty{k}.mp4", f"{k + 50:064x}", "no_support_frames") for k in range(10)),
    )
    splits = split_of_items(pd.concat([items, more], ignore_index=True), ratio(0.3))
    assert list(splits[: len(items)]) == list(expected)
    x, y, *z = splits[len(items) :]
    assert x == expected[0]  # refused before its video was read, which another item names
    assert y == ""
    assert z.count("val") == 3
    assert z.count("train") == 7


@pytest.mark.parametrize(
    ("items", "config", "hint"),
    [
        (table(("a", "val/a.mp4", "1")), FOLDER, "videos/train/"),
        (table(("a", "train/a.mp4", "1", "failed")), FOLDER, "videos/train/"),
        (table(), FOLDER, "videos/train/"),
        (table(), ratio(), "val_ratio"),
        (videos(10), ratio(0.5, 0.5), r"Lower train\.pos_neg\.val_ratio"),
        (videos(10), ratio(0.9, 0.9), r"Lower train\.pos_neg\.val_ratio"),
    ],
)
def test_nothing_to_train_on_is_an_error(items, config, hint):
    with pytest.raises(DataError, match=rf"(?s)No mined item is in train.*{hint}"):
        split_of_items(items, config)

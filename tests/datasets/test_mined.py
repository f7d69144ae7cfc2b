"""Reading what mining left."""

import shutil

import pandas as pd
import pytest

from pipeline_lib.datasets.mined import FRAME_COLUMNS, FRAMES, ITEM_COLUMNS, ITEMS, read_mined
from pipeline_lib.errors import DataError
from pipeline_lib.storage.tables import write_parquet


def item(name, status="mined", **changes):
    return {
        "id": name, "line": 2, "video_path": "train/v.mp4", "video_sha256": "ab", "question": "?",
        "choices": ["x", "y"], "support_frames": [1.0], "status": status, "reason": "",
        "message": "", **changes,
    }  # fmt: skip


def frame(name, kind="true", number=0, **changes):
    return {
        "id": name, "kind": kind, "segment": -1 if kind == "true" else number,
        "path": f"frames_{kind}/{name}/{name}_{number}.png", "video_path": "train/v.mp4",
        "source_index": number, "pts_s": 0.1 * number, "requested_s": 1.0, "max_cosine": None,
        "question": "?", **changes,
    }  # fmt: skip


ITEM_ROWS = [item("", "failed", choices=[], support_frames=[]), item("a"), item("b")]
FRAME_ROWS = [frame("a"), frame("a", "neg", 3), frame("b", number=4)]


def write(folder, items=ITEM_ROWS, frames=FRAME_ROWS, pictures=FRAME_ROWS):
    write_parquet(folder / ITEMS, pd.DataFrame(items, columns=list(ITEM_COLUMNS)))
    table = pd.DataFrame(frames, columns=list(FRAME_COLUMNS))
    write_parquet(folder / FRAMES, table.astype({"max_cosine": "float64"}))
    for row in pictures:
        (folder / row["path"]).parent.mkdir(parents=True, exist_ok=True)
        (folder / row["path"]).touch()
    return folder


def test_both_tables_with_plain_lists(tmp_path):
    mined = read_mined(write(tmp_path))
    assert list(mined.items["id"]) == ["", "a", "b"]
    assert list(mined.items["choices"]) == [(), ("x", "y"), ("x", "y")]
    assert list(mined.items["support_frames"]) == [(), (1.0,), (1.0,)]
    assert list(mined.frames["path"]) == [row["path"] for row in FRAME_ROWS]


def test_a_run_that_mined_nothing(tmp_path):
    mined = read_mined(write(tmp_path, [item("a", "failed"), item("a", "failed")], [], []))
    assert len(mined.items) == 2
    assert len(mined.frames) == 0


def test_pictures_may_be_links_into_a_cache(tmp_path):
    folder = write(tmp_path / "mined")
    (tmp_path / "cache").touch()
    picture = folder / FRAME_ROWS[0]["path"]
    picture.unlink()
    picture.symlink_to(tmp_path / "cache")
    assert len(read_mined(folder).frames) == 3


@pytest.mark.parametrize("name", [ITEMS, FRAMES])
def test_a_missing_table_or_column(tmp_path, name):
    folder = write(tmp_path)
    pd.DataFrame({"id": ["a"]}).to_parquet(folder / name)
    with pytest.raises(DataError, match=rf"{name}: no column .*\n.*dvc repro"):
        read_mined(folder)
    (folder / name).unlink()
    with pytest.raises(DataError, match=rf"No table .*{name}\.\n.*dvc repro"):
        read_mined(folder)


@pytest.mark.parametrize(
    ("items", "frames", "message"),
    [
        ([item("a", "done")], [], r"items\.parquet: item 'a' has status 'done'"),
        ([item("a"), item("a")], [frame("a")], "more than one mined item 'a'"),
        ([item("")], [frame("")], "one without an id"),
        ([item("a")], [frame("a", "maybe")], r"mined\.parquet: a frame of item 'a' is of kind"),
        ([item("a")], [frame("a"), frame("c")], "item 'c' is not a mined item"),
        ([item("a", "failed")], [frame("a")], "item 'a' is not a mined item"),
        ([item("a")], [frame("a", "neg")], "no true frame of item 'a'"),
        ([item("a")], [frame("a", path="../a.png")], r"path '\.\./a\.png' may not be used"),
        ([item("a")], [frame("a", path="/a.png")], r"path '/a\.png' may not be used"),
        ([item("a")], [frame("a", path="gone.png")], r"no picture .*gone\.png"),
        ([item("a")], [frame("a", path="sheets")], "no picture .*sheets"),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path, items, frames, message):
    (tmp_path / "sheets").mkdir()
    folder = write(tmp_path, items, frames, [frame("a"), frame("a", "neg")])
    with pytest.raises(DataError, match=rf"{message}[^\n]*\n.*dvc repro mine"):
        read_mined(folder)


def test_a_lost_picture_is_named(tmp_path):
    folder = write(tmp_path)
    shutil.rmtree(folder / "frames_neg")
    with pytest.raises(DataError, match=r"no picture .*frames_neg/a/a_3\.png"):
        read_mined(folder)

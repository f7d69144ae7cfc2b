import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.trainers.pos_neg.batches import batches_of, make_batch
from pipeline_lib.trainers.pos_neg.data import Item, load_data
from pipeline_lib.trainers.pos_neg.pixels import open_pixels, write_pixels
from pipeline_lib.video.scaling import Resize, resize_image
from tests.trainers.pos_neg.project import Wanted, config, wanted, write_mined

RESIZE = Resize(16, crop=16)


def test_items_captions_and_frames(tmp_path):
    folder = write_mined(
        tmp_path,
        [
            Wanted("b", "train/1.mp4", "Where is red?", true=(4,), negative=()),
            Wanted("a", "train/1.mp4", "Where is blue?", true=(4, 2), negative=(9,)),
            Wanted("c", "val/2.mp4", "Where is red?", true=(4,)),
            Wanted("d", "test/3.mp4", "Where is green?"),
            Wanted("e", "train/4.mp4", "?", status="failed"),
        ],
    )
    data = load_data(folder, config())
    assert data.captions == ("Where is blue?", "Where is red?")
    a, b = data.train
    (c,) = data.val
    assert (a.id, b.id, c.id) == ("a", "b", "c")
    assert [data.captions[item.caption] for item in (a, b, c)] == [
        "Where is blue?", "Where is red?", "Where is red?",
    ]  # fmt: skip
    # Frame 4 of the one video stands there once; frame 4 of the other is another picture.
    assert set(a.true) & set(b.true) == set(b.true)
    assert not set(c.true) & set(a.true)
    assert len(data.frames) == 3 + 4
    assert data.frames[a.negative[0]] == folder / "frames_neg/a/f000009.png"
    assert data.split.values.tolist() == [
        ["a", "train/1.mp4", "train"],
        ["b", "train/1.mp4", "train"],
        ["c", "val/2.mp4", "val"],
        ["d", "test/3.mp4", "test"],
    ]


def test_the_order_of_the_tables_does_not_matter(tmp_path):
    folder = write_mined(tmp_path, wanted())
    first = load_data(folder, config())
    for table in (folder / "items.parquet", folder / "mined.parquet"):
        pd.read_parquet(table).iloc[::-1].to_parquet(table)
    again = load_data(folder, config())
    assert (again.train, again.val) == (first.train, first.val)
    assert (again.captions, again.frames) == (first.captions, first.frames)
    assert again.sha256() == first.sha256()


def test_copies_of_a_file_share_their_frames(tmp_path):
    folder = write_mined(
        tmp_path,
        [
            Wanted("a", "train/1.mp4", "Where is red?", sha256="same"),
            Wanted("b", "train/copy.mp4", "Where is red?", sha256="same"),
            Wanted("c", "train/3.mp4", "Where is red?", sha256=""),
            Wanted("d", "train/4.mp4", "Where is red?", sha256=""),
        ],
    )
    a, b, c, d = load_data(folder, config(select="last")).train
    assert a.true == b.true
    assert len({*a.true, *c.true, *d.true}) == 6


def test_captions_follow_the_setting(tmp_path):
    items = [
        Wanted("a", "train/1.mp4", "Where?", choices=("here", "there")),
        Wanted("b", "val/1.mp4", "Where?", choices=("up",)),
    ]
    folder = write_mined(tmp_path, items)
    assert load_data(folder, config(caption="question_choices")).captions == (
        "Where? here there", "Where? up",
    )  # fmt: skip


def test_val_is_needed_to_choose_by_it(tmp_path):
    folder = write_mined(tmp_path, wanted(val=0))
    with pytest.raises(ConfigError, match=r"select = 'loss'.*split = 'folder'(.|\n)*val_ratio"):
        load_data(folder, config(select="loss"))
    assert load_data(folder, config(select="last")).val == ()


def test_the_hash_follows_pictures_and_words(tmp_path):
    folder = write_mined(tmp_path, wanted())
    data = load_data(folder, config())
    digest = data.sha256()
    assert load_data(folder, config(caption="question_choices")).sha256() == digest  # no choices
    Image.fromarray(np.zeros((36, 48, 3), np.uint8)).save(data.frames[3])
    assert load_data(folder, config()).sha256() != digest
    other = write_mined(tmp_path / "other", [*wanted(), Wanted("x", "val/x.mp4", "Where is red?")])
    assert load_data(other, config()).sha256() != digest


def test_pixels_are_scaled_as_frames_are(tmp_path):
    folder = write_mined(tmp_path, wanted())
    frames = load_data(folder, config()).frames
    write_pixels(tmp_path / "pixels.npy", frames, RESIZE)
    pixels = open_pixels(tmp_path / "pixels.npy")
    assert pixels.shape == (len(frames), 16, 16, 3)
    for row, path in zip(pixels, frames, strict=True):
        with Image.open(path) as image:
            assert np.array_equal(row, resize_image(np.asarray(image), RESIZE))


def test_pixels_are_not_decoded_twice(tmp_path):
    frames = load_data(write_mined(tmp_path, wanted()), config()).frames
    write_pixels(tmp_path / "pixels.npy", frames, RESIZE)
    frames[0].unlink()
    write_pixels(tmp_path / "pixels.npy", frames, RESIZE)


@pytest.mark.parametrize("content", [b"garbage", b"", "cut"])
def test_a_damaged_picture_is_named(tmp_path, content):
    frames = load_data(write_mined(tmp_path, wanted()), config()).frames
    whole = frames[2].read_bytes()
    frames[2].write_bytes(whole[: len(whole) // 2] if content == "cut" else content)
    with pytest.raises(DataError, match=rf"{frames[2].name}: not a readable picture"):
        write_pixels(tmp_path / "pixels.npy", frames, RESIZE)
    assert not list(tmp_path.glob("*.npy"))


def test_a_batch_has_captions_and_frames_once():
    batch = make_batch(
        [
            Item("a", 7, true=(10, 12), negative=(14,)),
            Item("b", 3, true=(12, 20), negative=(10,)),  # a frame both ask for, and one only a
            Item("c", 7, true=(30,), negative=()),
        ]
    )
    assert batch.captions.tolist() == [3, 7]
    assert batch.frames.tolist() == [10, 12, 14, 20, 30]
    assert batch.row_of_item.tolist() == [1, 0, 1]
    assert batch.own.tolist() == [[1, 1, 2, 0, 0], [2, 1, 0, 1, 0], [0, 0, 0, 0, 1]]
    # 14 was compared with a's true frames only: it says nothing of caption 3.
    assert batch.relation.tolist() == [[2, 1, 0, 1, 3], [1, 1, 2, 3, 1]]


def test_what_is_true_of_a_caption_is_no_negative_of_it():
    first = Item("a", 7, true=(10,), negative=(12, 14))
    second = Item("b", 7, true=(12,), negative=(10,))
    for items in ([first, second], [second, first]):
        assert make_batch(items).relation.tolist() == [[1, 1, 2]]
    batch = make_batch([first, second])
    assert batch.own.tolist() == [[1, 2, 2], [2, 1, 0]]  # each ranks its own frames all the same


def test_the_last_batch_may_be_smaller():
    items = [Item(str(i), i, (i,), ()) for i in range(5)]
    assert [len(batch.own) for batch in batches_of(items, 2)] == [2, 2, 1]

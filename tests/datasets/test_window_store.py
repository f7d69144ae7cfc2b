import json
import shutil

import numpy as np
import pandas as pd
import pytest

from pipeline_lib.config import DataConfig, Params, TrainSection
from pipeline_lib.datasets import window_packing
from pipeline_lib.datasets.index_tables import WINDOW_COLUMNS, read_event_table, read_windows
from pipeline_lib.datasets.window_packing import write_stores
from pipeline_lib.datasets.window_store import VIDEO_COLUMNS, open_store
from pipeline_lib.errors import DataError
from pipeline_lib.storage.tables import write_parquet
from tests.datasets.window_tables import EVENTS, pack, save, table

ROWS = np.array([[3, 4], [0, 2], [1, 0], [5, 0]], dtype=np.float32)
VIDEOS = {"train/a/x": ROWS, "train/c/x": ROWS, "val/c/x": ROWS}
WINDOWS = table(
    ("train/a/x", 0, 1, ""),
    ("train/a/x", 1, 1, "normal"),
    ("train/c/x", 2, 1, "c"),
    ("val/c/x", 0, 1, "c"),
)


@pytest.fixture
def features(tmp_path):
    return tmp_path / "features" / "clip"


def test_rows_are_aggregated_before_they_are_normalised(features):
    save(features, {"train/a/x": ROWS})
    windows = table(("train/a/x", 0, 1, "a"), ("train/a/x", 0, 2, "a"), ("train/a/x", 1, 3, "a"))
    mean = pack(windows, features, "mean").matrix
    # Means [3, 4], [1.5, 3], [2, 2/3].
    expected = [[0.6, 0.8], [1 / 5**0.5, 2 / 5**0.5], [3 / 10**0.5, 1 / 10**0.5]]
    np.testing.assert_allclose(mean, expected, rtol=1e-6)
    assert mean.dtype == np.float32
    # Maxima [3, 4], [3, 4], [5, 2].
    expected = [[0.6, 0.8], [0.6, 0.8], [5 / 29**0.5, 2 / 29**0.5]]
    np.testing.assert_allclose(pack(windows, features, "max").matrix, expected, rtol=1e-6)


def test_splits_come_in_their_order_and_videos_side_by_side(features):
    save(features, {"test/b/x": ROWS, "train/b/x": ROWS[::-1], "train/a/x": ROWS})
    store = pack(
        table(
            ("test/b/x", 1, 1, "b"),
            ("train/b/x", 0, 1, "b"),
            ("train/a/x", 2, 1, "a"),
            ("train/b/x", 3, 1, "b"),
        ),
        features,
    )
    np.testing.assert_allclose(store.matrix, [[1, 0], [0.6, 0.8], [1, 0], [0, 1]], rtol=1e-6)
    assert tuple(store.index.columns) == WINDOW_COLUMNS
    assert store.index[["video", "start_row"]].to_numpy().tolist() == [
        ["train/b/x", 0], ["train/b/x", 3], ["train/a/x", 2], ["test/b/x", 1],
    ]  # fmt: skip
    assert store.info.windows == {"train": 3, "val": 0, "test": 1}


def test_a_split_holds_its_kept_windows_with_labels_by_name(features):
    save(features, VIDEOS)
    store = pack(WINDOWS, features)
    names = ("a", "c", "normal")
    train = store.split("train", names)
    assert train.labels.tolist() == [2, 1]
    assert train.labels.dtype == train.video_of_window.dtype == np.int64
    assert train.video_ids == ("train/a/x", "train/c/x")
    assert train.video_of_window.tolist() == [0, 1]
    assert train.table["start_row"].tolist() == [1, 2]
    np.testing.assert_array_equal(train.features, [[0, 1], [1, 0]])
    val = store.split("val", names)
    assert val.labels.tolist() == [1]
    assert val.video_ids == ("val/c/x",)
    assert val.table.index.tolist() == [0]


def test_a_split_is_a_part_of_the_map_and_its_text_is_categories(features):
    save(features, VIDEOS)
    val = pack(WINDOWS, features).split("val", ("c",))
    assert isinstance(val.features, np.memmap)
    assert not val.features.flags.writeable
    text = ["video", "split", "class_name", "label", "reason"]
    assert [name for name in val.table if val.table[name].dtype == "category"] == text


def test_classes_of_another_list_are_found_by_name(features):
    save(features, VIDEOS)
    assert pack(WINDOWS, features).split("val", ("z", "b", "c")).labels.tolist() == [2]


def test_a_class_missing_from_a_split_shifts_no_index(features):
    save(features, {f"train/{name}/x": ROWS for name in "abc"} | {"val/c/x": ROWS})
    rows = [(f"train/{name}/x", 0, 1, name) for name in "abc"]
    store = pack(table(*rows, ("val/c/x", 0, 1, "c")), features)
    assert store.info.class_names == ("a", "b", "c")
    assert store.split("train", store.info.class_names).labels.tolist() == [0, 1, 2]
    assert store.split("val", store.info.class_names).labels.tolist() == [2]


def test_every_video_is_opened_once(features, monkeypatch):
    opened = []
    original = window_packing.load_rows
    monkeypatch.setattr(
        window_packing, "load_rows", lambda d, v: opened.append(v) or original(d, v)
    )
    save(features, {"train/a/x": ROWS, "train/a/y": ROWS})
    pack(table(*[(v, i, 1, "a") for i in range(4) for v in ("train/a/x", "train/a/y")]), features)
    assert opened == ["train/a/x", "train/a/y"]


def test_the_class_list_counts_directories_without_kept_windows(features):
    save(features, {"train/b/x": ROWS, "train/a/x": ROWS, "train/short/x": ROWS[:1],
                    "val/b/x": ROWS})  # fmt: skip
    store = pack(table(("train/b/x", 0, 2, "b"), ("train/a/x", 0, 2, "")), features)
    assert store.info.class_names == ("a", "b", "short")


def test_the_facts_of_a_store(features):
    save(features, {**VIDEOS, "train/Normal/n": ROWS, "qa/x": ROWS})
    info = pack(WINDOWS, features, "max", unit_duration=3).info
    assert (info.backbone, info.fingerprint, info.weights_id, info.weights_sha256) == (
        "clip", "f", "w", "s",
    )  # fmt: skip
    assert (info.trained, info.dim, info.every_s, info.temporal_agg) == (True, 2, 1.0, "max")
    assert (info.unit_duration, info.normal_class) == (3, "Normal")
    assert pack(WINDOWS, features, normal_class="calm").info.normal_class is None


def test_a_store_knows_when_row_0_starts(features):
    save(features, VIDEOS, offset_s=-0.5)
    times = {name: WINDOWS[name] - 0.5 for name in ("start_s", "end_s")}
    store = pack(WINDOWS.assign(**times), features)
    assert store.info.offset_s == -0.5
    assert store.index["start_s"].tolist() == [0.5, 1.5, -0.5]
    assert json.loads((store.path / "store.json").read_text())["offset_s"] == -0.5


def test_a_store_without_offset_is_of_rows_that_start_with_their_video(features):
    save(features, VIDEOS)
    store = pack(WINDOWS, features)
    assert "offset_s" not in json.loads((store.path / "store.json").read_text())
    assert store.info.offset_s == open_store(store.path).info.offset_s == 0.0


@pytest.mark.parametrize("times", [{"offset_s": -0.5}, {"every_s": 2.0}])
def test_windows_of_rows_of_other_times_are_refused(features, times):
    save(features, VIDEOS, **times)
    with pytest.raises(DataError, match="cut over rows of other times") as caught:
        pack(WINDOWS, features)
    assert "dvc repro annotate-filter" in caught.value.hint


def test_all_videos_are_listed_with_and_without_windows(features):
    save(features, {**VIDEOS, "train/a/short": ROWS[:1], "qa/x": ROWS})
    store = pack(WINDOWS, features)
    assert tuple(store.videos.columns) == VIDEO_COLUMNS
    assert store.videos.drop(columns="sha256").to_numpy().tolist() == [
        ["train/a/short", "train", "a", 1, -1, 0],
        ["train/a/x", "train", "a", 4, 0, 1],
        ["train/c/x", "train", "c", 4, 1, 1],
        ["val/c/x", "val", "c", 4, 2, 1],
    ]
    assert store.videos["sha256"].iloc[1] == "hash of train/a/x"
    pd.testing.assert_frame_equal(store.events, EVENTS)


def test_the_same_inputs_give_the_same_bytes(features):
    def content(store):
        return {path.name: path.read_bytes() for path in store.path.iterdir()}

    save(features, VIDEOS)
    first = content(pack(WINDOWS, features))
    assert content(pack(WINDOWS, features)) == first
    shutil.rmtree(features)
    save(features, {**VIDEOS, "train/c/x": ROWS[::-1]})
    changed = content(pack(WINDOWS, features))
    assert {name for name in first if first[name] != changed[name]} == {
        "features.npy", "store.json",
    }  # fmt: skip


def test_hashes_tell_labels_apart(features):
    save(features, VIDEOS)
    one = pack(WINDOWS, features).info
    other = pack(WINDOWS.assign(label=WINDOWS["label"].replace("c", "a")), features).info
    assert one.features_sha256 == other.features_sha256
    assert one.tables_sha256["index.parquet"] != other.tables_sha256["index.parquet"]
    assert one.tables_sha256["videos.parquet"] == other.tables_sha256["videos.parquet"]


def test_an_empty_split_is_refused(features):
    save(features, {"train/a/x": ROWS})
    store = pack(table(("train/a/x", 0, 1, "a")), features)
    with pytest.raises(DataError, match="No window of the val split was kept"):
        store.split("val", ("a",))


def test_an_unknown_label_is_refused(features):
    save(features, {"train/fal/x": ROWS, "val/fal/x": ROWS})
    store = pack(table(("train/fal/x", 0, 1, "fal"), ("val/fal/x", 0, 1, "fal")), features)
    with pytest.raises(DataError, match=r"'fal' of the val split(.|\n)*Did you mean 'fall'"):
        store.split("val", ("fall", "run"))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.ones((3, 2), np.float32), r"x\.npy: has 3 rows, but a window ends at row 4"),
        (np.ones((4, 5), np.float32), r"x\.npy: features of size 5, those of other videos have 2"),
        (np.array([[1, 1], [1, np.nan]], np.float32), r"x\.npy: row 1 holds NaN or infinite"),
        (np.array([[np.inf, 1]] * 4, np.float32), r"x\.npy: row 0 holds NaN or infinite"),
        (np.array([[1, 1], [0, 0]], np.float32), r"x\.npy: row 1 is all zeros"),
        (np.ones(4, np.float32), r"x\.npy: expected float features \[T, D\].*found float32 \(4,\)"),
        (np.ones((4, 2), np.int64), r"x\.npy: expected float features \[T, D\].*found int64"),
        (np.ones((0, 2), np.float32), r"x\.npy: expected float features .*T > 0"),
        (np.array([[1, "a"]], object), r"x\.npy: not a readable \.npy file"),
    ],
)
def test_unusable_features_are_named(features, rows, message):
    save(features, {"train/a/first": ROWS, "train/a/x": rows})
    windows = table(("train/a/first", 0, 1, "a"), ("train/a/x", 0, 4, "a"))
    with pytest.raises(DataError, match=message):
        pack(windows, features)
    assert not (features.parent.parent / "windows" / "clip").exists()


@pytest.mark.parametrize("kind", [np.float16, np.float64, ">f4"])
def test_other_floats_are_converted(features, kind):
    save(features, {"train/a/x": ROWS.astype(kind)})
    store = pack(table(("train/a/x", 0, 1, "a")), features)
    assert store.matrix.dtype == np.float32
    np.testing.assert_allclose(store.matrix, [[0.6, 0.8]], rtol=1e-6)


def test_rows_that_cancel_out_are_named(features):
    save(features, {"train/a/x": np.array([[1, 1], [1, 2], [-1, -2]], np.float32)})
    windows = table(("train/a/x", 0, 2, "a"), ("train/a/x", 1, 2, "a"))
    with pytest.raises(DataError, match=r"x\.npy: the rows of the window at row 1 cancel out"):
        pack(windows, features)
    assert len(pack(windows, features, "max").matrix) == 2


def test_a_missing_video_is_named(features):
    save(features, {"train/a/x": ROWS})
    with pytest.raises(DataError, match="train/a/y has windows but no features in"):
        pack(table(("train/a/y", 0, 1, "a")), features)
    (features / "train/a/x.npy").unlink()
    with pytest.raises(DataError, match=r"No features .*train/a/x\.npy"):
        pack(table(("train/a/x", 0, 1, "a")), features)


def test_a_backbone_that_sees_clips_is_refused(features):
    save(features, {"train/a/x": ROWS}, every_s=None)
    with pytest.raises(DataError, match="'clip' has features of clips, none per second"):
        pack(table(("train/a/x", 0, 1, "a")), features)


@pytest.mark.parametrize(
    "row", [("train/a/x", -1, 1, "a"), ("train/a/x", 0, 0, "a"), ("qa/a/x", 0, 1, "a"),
            ("train/a/x", 0, 1, "")],
)  # fmt: skip
def test_impossible_windows_are_refused(features, row):
    save(features, {"train/a/x": ROWS})
    with pytest.raises(DataError, match="no kept window, or one of no split"):
        pack(table(row), features)


def test_a_table_of_another_version_is_refused(tmp_path):
    path = tmp_path / "windows.parquet"
    write_parquet(path, WINDOWS.drop(columns="kept"))
    with pytest.raises(DataError, match="no column 'kept'"):
        read_windows(path)
    write_parquet(path, EVENTS.drop(columns="end_s"))
    with pytest.raises(DataError, match="no column 'end_s'"):
        read_event_table(path)


def cut_short(store):
    path = store / "features.npy"
    path.write_bytes(path.read_bytes()[:-4])


def other_size(store):
    np.save(store / "features.npy", np.ones((7, 2), np.float32))


def other_value(store):
    matrix = np.load(store / "features.npy")
    matrix[1, 0] = np.nan
    np.save(store / "features.npy", matrix)


def relabel(store):
    index = read_windows(store / "index.parquet")
    write_parquet(store / "index.parquet", index.assign(label="c"))


def edit(**changes):
    def apply(store):
        content = json.loads((store / "store.json").read_text()) | changes
        (store / "store.json").write_text(
            json.dumps({key: value for key, value in content.items() if value != "gone"})
        )

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "no packed windows: store.json is missing"),
        (lambda store: (store / "features.npy").unlink(), r"features\.npy: is missing"),
        (cut_short, r"features\.npy: not a whole \.npy file"),
        (other_size, r"features\.npy: holds float32 \(7, 2\), the index has float32 \(3, 2\)"),
        (other_value, r"features\.npy: holds other values than this store was made with"),
        (relabel, r"index\.parquet: is not the table this store was made with"),
        (lambda store: (store / "events.parquet").unlink(), r"events\.parquet: is missing"),
        (lambda store: (store / "videos.parquet").write_bytes(b"PAR1"), r"videos\.parquet: is not"),
        (lambda store: (store / "store.json").write_text("{"), r"store\.json: .*damaged"),
        (edit(shape=3), r"store\.json: of another version or damaged \(shape: "),
        (edit(dim="gone"), r"store\.json: of another version or damaged \(dim: "),
        (edit(class_names="a"), r"store\.json: .*\(class_names: "),
        (edit(windows={"train": 9}), r"store\.json: .*\(windows"),
    ],
)
def test_a_damaged_store_is_refused_with_the_remedy(features, damage, message):
    save(features, VIDEOS)
    path = pack(WINDOWS, features).path
    damage(path)
    with pytest.raises(DataError, match=message) as caught:
        open_store(path)
    assert "dvc repro pack-windows" in caught.value.hint


@pytest.fixture
def project(tmp_path):
    save(tmp_path / "features" / "clip", VIDEOS)
    save(tmp_path / "features" / "noise", {video: -rows for video, rows in VIDEOS.items()})
    write_parquet(tmp_path / "index" / "windows.parquet", WINDOWS)
    write_parquet(tmp_path / "index" / "events.parquet", EVENTS)

    def run(**train):
        params = Params(data=DataConfig(root=""), train=TrainSection(**train))
        return write_stores(params, tmp_path / "index", tmp_path / "features", tmp_path / "windows")

    return run


def test_the_backbone_and_its_control_are_packed(project, tmp_path):
    said = project(control_backbone="noise")
    assert "windows/clip: windows of 2 values: train 2, val 1, test 0" in said
    main, control = (open_store(tmp_path / "windows" / name) for name in ("clip", "noise"))
    np.testing.assert_array_equal(main.matrix, -control.matrix)
    pd.testing.assert_frame_equal(main.index, control.index)
    project()
    assert [path.name for path in (tmp_path / "windows").iterdir()] == ["clip"]
    with pytest.raises(DataError, match=r"No features in .*slow"):
        project(control_backbone="slow")
    assert open_store(tmp_path / "windows" / "clip").info == main.info

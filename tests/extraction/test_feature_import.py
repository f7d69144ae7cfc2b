import hashlib
import os
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pipeline_lib.config import DataConfig, ExtractConfig, Params, SlowFastConfig
from pipeline_lib.datasets.window_table import make_windows
from pipeline_lib.errors import BatchError, ConfigError, DataError
from pipeline_lib.extraction.feature_files import FeatureFileError, read_rows
from pipeline_lib.extraction.feature_import import ImportReport, import_features
from pipeline_lib.storage.features import load_rows, read_manifest, read_meta
from stages.import_features import app
from tests.support.tiny_clip import untrained_clip

DIM = 16
WHOLE = ("train/fall/a", "train/normal/b", "val/fall/c", "val/normal/d", "test/fall/e")


def rows(name: str, t: int = 5, dim: int = DIM) -> np.ndarray:
    rng = np.random.default_rng([ord(letter) for letter in name])
    return rng.normal(size=(t, dim)).astype(np.float32)


def put(folder: Path, name: str, array: np.ndarray) -> Path:
    path = folder / f"{name}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array, allow_pickle=array.dtype == object)
    return path


@pytest.fixture
def source(tmp_path) -> Path:
    for name in WHOLE:
        put(tmp_path / "mine", name, rows(name))
    return tmp_path / "mine"


@pytest.fixture
def params(tmp_path) -> Params:
    clip = untrained_clip(tmp_path / "weights")
    extract = ExtractConfig(clip=clip, slowfast=SlowFastConfig(weights="untrained"))
    return Params(data=DataConfig(root="data"), extract=extract)


@pytest.fixture
def take(source, params, tmp_path):
    def run(every_s: float = 1.0, folder: Path = source, **changes) -> ImportReport:
        report, _ = import_features(
            folder, "clip", params, tmp_path / "out", every_s=every_s, **changes
        )
        return report

    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def reasons(report: ImportReport) -> dict[str, str]:
    return {row["video"]: row["reason"] for row in report.failures}


def test_imported_features_look_like_extracted_ones(take, source, params, tmp_path):
    report, claim = import_features(source, "clip", params, tmp_path / "out")
    out = tmp_path / "out" / "clip"
    assert report.extracted == sorted(WHOLE)
    assert not report.failures
    assert not (out / "failures.csv").exists()
    manifest = read_manifest(out)
    assert list(manifest.videos) == sorted(WHOLE)
    assert (manifest.backbone, manifest.dim, manifest.every_s) == ("clip", DIM, 1.0)
    assert manifest.weights_sha256 == claim.weights.sha256
    assert manifest.weights_sha256.startswith("untrained-")
    assert not manifest.trained
    np.testing.assert_array_equal(load_rows(out, "train/fall/a"), rows("train/fall/a"))
    meta = read_meta(out, "train/fall/a")
    assert meta["imported"] is True
    assert "offset_s" not in meta
    digest = hashlib.sha256((source / "train/fall/a.npy").read_bytes()).hexdigest()
    assert meta["source_sha256"] == manifest.videos["train/fall/a"].sha256 == digest
    with np.load(out / "train/fall/a.npz") as clips:
        assert clips["features"].shape == (0, DIM)
        assert clips["start_s"].size == clips["valid"].size == 0


def test_windows_are_cut_over_imported_features(take, params, tmp_path):
    take(every_s=2.0)
    manifest = read_manifest(tmp_path / "out" / "clip")
    assert manifest.videos["train/fall/a"].duration_s == 10.0
    table = make_windows(manifest, {"train/fall/a": [(4.0, 6.0)]}, params.train)
    own = table[table["video"] == "train/fall/a"]
    # The row from 4 s to 6 s overlaps; the two before it are normal; the two after are dropped.
    assert own["label"].tolist() == ["normal", "normal", "fall", "", ""]


def test_rows_may_start_at_another_time_than_their_video(take, params, tmp_path):
    take(offset_s=-1.0)
    out = tmp_path / "out" / "clip"
    manifest = read_manifest(out)
    assert (manifest.offset_s, read_meta(out, "train/fall/a")["offset_s"]) == (-1.0, -1.0)
    # Five rows from -1 s on.
    assert manifest.videos["train/fall/a"].duration_s == 4.0
    table = make_windows(manifest, {"train/fall/a": [(1.0, 2.0)]}, params.train)
    own = table[table["video"] == "train/fall/a"]
    # [-1, 0) and [0, 1) come before the event, [1, 2) is it.
    assert own["label"].tolist() == ["normal", "normal", "fall", "", ""]


def test_rows_that_end_before_their_video_starts_are_refused(take, source):
    put(source, "train/fall/long", rows("long", t=6))
    report = take(offset_s=-5.0)
    assert reasons(report) == dict.fromkeys(WHOLE, "before_start")
    assert report.extracted == ["train/fall/long"]
    assert "its last row ends at 0 s, before the video starts" in report.failures[0]["message"]


@pytest.mark.parametrize("dtype", ["float16", "float64", ">f4"])
def test_other_floating_types_become_float32(take, source, tmp_path, dtype):
    array = rows("x").astype(dtype)
    put(source, "train/fall/a", np.asfortranarray(array))
    take()
    written = load_rows(tmp_path / "out" / "clip", "train/fall/a")
    assert written.dtype == np.float32
    np.testing.assert_array_equal(written, array.astype(np.float32))


def test_the_same_folder_gives_the_same_bytes(take, tmp_path):
    take()
    first = contents(tmp_path / "out")
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            path.unlink()
    take()
    assert contents(tmp_path / "out") == first


def test_only_what_is_new_or_changed_is_written(take, source, tmp_path):
    take()
    out = tmp_path / "out" / "clip"
    before = {name: (out / f"{name}.npy").stat().st_mtime_ns for name in WHOLE}
    put(source, "train/fall/a", rows("changed", t=7))
    put(source, "train/fall/new", rows("new"))
    (source / "test/fall/e.npy").unlink()
    report = take(hash_cache=tmp_path / "hashes.json")
    assert report.extracted == ["train/fall/a", "train/fall/new"]
    assert report.kept == sorted(set(WHOLE) - {"train/fall/a", "test/fall/e"})
    assert report.pruned == ["test/fall/e"]
    assert not (out / "test").exists()
    assert read_manifest(out).videos["train/fall/a"].rows == 7
    for name in report.kept:
        assert (out / f"{name}.npy").stat().st_mtime_ns == before[name]


@pytest.mark.parametrize("times", [{"every_s": 0.5}, {"offset_s": 0.5}])
def test_other_times_make_them_anew(take, times):
    take()
    assert len(take(**times).extracted) == len(WHOLE)
    assert not take(**times).extracted
    assert len(take().extracted) == len(WHOLE)


def spoil(folder: Path) -> dict[str, str]:
    """One file of each kind that cannot be used; returns their reasons."""
    good = put(folder, "train/fall/good", rows("good")).read_bytes()
    put(folder, "train/fall/no_rows", np.zeros((0, DIM), np.float32))
    put(folder, "train/fall/flat", np.ones(DIM, np.float32))
    put(folder, "train/fall/cube", np.ones((2, 3, DIM), np.float32))
    put(folder, "train/fall/scalar", np.float32(1))
    put(folder, "train/fall/wide", rows("wide", dim=DIM + 1))
    put(folder, "train/fall/whole", np.ones((3, DIM), np.int64))
    put(folder, "train/fall/object", np.array([[1.0, None]], dtype=object))
    put(folder, "train/fall/nan", np.where(np.arange(5)[:, None] == 3, np.nan, rows("n")))
    put(folder, "train/fall/inf", np.where(np.arange(5)[:, None] >= 3, np.inf, rows("n")))
    put(
        folder,
        "train/fall/huge",
        np.pad(np.ones((4, DIM)), ((1, 0), (0, 0)), constant_values=1e300),
    )
    put(folder, "train/fall/zero", np.where(np.arange(5)[:, None] == 2, 0, rows("z")))
    put(folder, "train/fall/tiny", np.where(np.arange(5)[:, None] == 4, 1e-30, rows("z")))
    (folder / "train/fall/cut.npy").write_bytes(good[:-4])
    (folder / "train/fall/header.npy").write_bytes(good[:40])
    (folder / "train/fall/blank.npy").touch()
    (folder / "train/fall/text.npy").write_text("no array")
    (folder / "train/fall/gone.npy").symlink_to(folder / "nowhere")
    (folder / "train/fall/folder.npy").mkdir()
    return {
        "no_rows": "empty",
        "flat": "wrong_shape",
        "cube": "wrong_shape",
        "scalar": "wrong_shape",
        "wide": "wrong_size",
        "whole": "wrong_type",
        "nan": "not_finite",
        "inf": "not_finite",
        "huge": "not_finite",
        "zero": "no_direction",
        "tiny": "no_direction",
        **dict.fromkeys(
            ("object", "cut", "header", "blank", "text", "gone", "folder"), "unreadable"
        ),
    }


def test_bad_files_are_rows_of_the_failure_table(take, source, tmp_path):
    expected = {f"train/fall/{name}": reason for name, reason in spoil(source).items()}
    report = take()
    assert reasons(report) == expected
    assert report.extracted == sorted([*WHOLE, "train/fall/good"])
    table = pd.read_csv(tmp_path / "out/clip/failures.csv")
    assert list(table.columns) == ["video", "file", "reason", "message"]
    assert dict(zip(table["video"], table["reason"], strict=True)) == expected
    messages = {row["file"]: row["message"] for row in report.failures}
    assert "row 3 holds NaN, infinity" in messages["nan.npy"]
    assert "row 3 holds NaN, infinity" in messages["inf.npy"]
    assert messages["inf.npy"].endswith("so do 1 more rows.")
    assert "row 0 holds NaN, infinity, or a number too large for float32" in messages["huge.npy"]
    assert "row 2 has length 0 and so no direction" in messages["zero.npy"]
    assert "row 4 has length 0" in messages["tiny.npy"]
    assert "rows of 17 numbers; the model's features have 16" in messages["wide.npy"]
    assert "expected an array [T, D], found [2, 3, 16]" in messages["cube.npy"]
    with pytest.raises(BatchError, match="18 of 24 feature files could not be imported"):
        report.raise_failures()


def test_a_file_that_went_bad_loses_its_features(take, source, tmp_path):
    take()
    put(source, "train/fall/a", np.zeros((4, DIM), np.float32))
    report = take()
    assert reasons(report) == {"train/fall/a": "no_direction"}
    assert not (tmp_path / "out/clip/train/fall/a.npy").exists()
    assert "train/fall/a" not in read_manifest(tmp_path / "out/clip").videos
    put(source, "train/fall/a", rows("train/fall/a"))
    assert take().extracted == ["train/fall/a"]
    assert not (tmp_path / "out/clip/failures.csv").exists()


def test_a_float32_file_is_mapped(source):
    assert isinstance(read_rows(source / "train/fall/a.npy", DIM).base, np.memmap)


def test_an_object_array_is_not_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    path = put(tmp_path, "trap", np.array([[Trap()]], dtype=object))
    with pytest.raises(FeatureFileError, match="not a readable"):
        read_rows(path, 1)
    assert not (tmp_path / "sprung").exists()


def test_names_are_composed_and_shared_names_refused(take, source):
    decomposed = unicodedata.normalize("NFD", "쓰러짐é")
    put(source, f"train/fall/{decomposed}", rows("k"))
    put(source, f"train/normal/{decomposed}", rows("k"))
    put(source, f"train/normal/{unicodedata.normalize('NFC', '쓰러짐é')}", rows("m"))
    report = take()
    assert "train/fall/쓰러짐é" in report.extracted
    assert reasons(report) == {"train/normal/쓰러짐é": "ambiguous_name"}
    assert len(report.failures) == 2


def test_a_name_without_room_for_a_suffix(take, source):
    name = f"train/fall/{'x' * 251}"
    put(source, name, rows("x"))
    assert reasons(take()) == {name: "name_too_long"}


def test_equal_stems_in_two_classes_are_two_videos(take, source, tmp_path):
    put(source, "train/fall/same", rows("one"))
    put(source, "train/normal/same", rows("two", t=3))
    take()
    videos = read_manifest(tmp_path / "out" / "clip").videos
    assert (videos["train/fall/same"].rows, videos["train/normal/same"].rows) == (5, 3)


def test_a_name_in_train_and_val_is_warned_of(take, source, caplog):
    put(source, "val/fall/a", rows("a"))
    take()
    assert "1 videos have the same name in more than one split: fall/a (train, val)" in caplog.text


def test_hidden_files_and_files_of_no_split_are_left_out(take, source, caplog):
    put(source, "train/.cache/x", rows("x"))
    put(source, "train/fall/.x", rows("x"))
    put(source, ".git/fall/x", rows("x"))
    put(source, "mean", rows("x"))
    assert take().extracted == sorted(WHOLE)
    assert "1 videos lie outside {train,val,test}/{class}/" in caplog.text


def test_a_class_of_val_that_train_lacks(take, source):
    put(source, "val/run/x", rows("x"))
    with pytest.raises(DataError, match="class 'run' of val is not in train"):
        take()


def test_folders_that_are_laid_out_otherwise(take, source, tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        take(folder=tmp_path / "none")
    with pytest.raises(DataError, match="train has no folder 'train'") as caught:
        take(folder=source / "train")
    assert f"Give the folder that holds train, val, test: {source}" in caught.value.hint
    (source / "train").rename(source / "training")
    with pytest.raises(DataError, match="has no folder 'train'") as caught:
        take()
    assert "Should 'training' be 'train'?" in caught.value.hint
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no folder 'train'") as caught:
        take(folder=tmp_path / "empty")
    assert "{train,val,test}/{class}/{stem}.npy" in caught.value.hint


def test_folders_of_other_files(take, source):
    for path in sorted(source.rglob("*.npy")):
        path.rename(path.with_suffix(".npz"))
    (source / "train/fall/x.pt").touch()
    with pytest.raises(DataError, match=r"holds no \.npy file; it holds 5 \.npz, 1 \.pt") as caught:
        take()
    assert "each a float array [T, D]" in caught.value.hint


def test_files_beside_the_class_folders_only(take, source, tmp_path):
    put(tmp_path / "flat", "train/a", rows("a"))
    with pytest.raises(DataError, match="is of a split and a class"):
        take(folder=tmp_path / "flat")


def test_extracted_features_are_not_replaced(take, tmp_path):
    take()
    meta = tmp_path / "out/clip/test/fall/e.json"
    meta.write_text(meta.read_text().replace('"imported": true', '"decoder": "pyav"'))
    with pytest.raises(DataError, match="holds features that were not imported"):
        take()
    assert (tmp_path / "out/clip/train/fall/a.npy").exists()


def test_a_folder_of_the_users_own_is_not_replaced(take, tmp_path):
    own = put(tmp_path / "out" / "clip", "train/fall/mine", rows("x"))
    with pytest.raises(DataError, match="holds features that were not imported"):
        take()
    assert own.exists()


def test_source_and_target_are_different_folders(source, params):
    target = source.rename(source.with_name("clip"))
    with pytest.raises(DataError, match="lies where the features are to be written"):
        import_features(target, "clip", params, target.parent)
    assert len(list(target.rglob("*.npy"))) == len(WHOLE)


def test_backbones_that_cannot_have_made_them(source, params, tmp_path):
    with pytest.raises(ConfigError, match="Unknown backbone 'clop'"):
        import_features(source, "clop", params, tmp_path / "out")
    with pytest.raises(ConfigError, match=r"has no section extract\.dinov2"):
        import_features(source, "dinov2", params, tmp_path / "out")
    with pytest.raises(ConfigError, match="every_s = 0"):
        import_features(source, "clip", params, tmp_path / "out", every_s=0)
    with pytest.raises(ConfigError, match="offset_s = nan: must be a finite number"):
        import_features(source, "clip", params, tmp_path / "out", offset_s=float("nan"))


def test_a_clip_network_has_no_rows(source, params, tmp_path):
    with pytest.raises(ConfigError, match="'slowfast' has features of clips"):
        import_features(source, "slowfast", params, tmp_path / "out")


def test_the_command(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(
        "data: {root: data}\n"
        f"extract: {{clip: {{model: 'local-dir:{tmp_path / 'weights'}', weights: untrained}}}}\n"
    )
    untrained_clip(tmp_path / "weights")
    done = CliRunner().invoke(app, [str(source), "clip"])
    assert done.exit_code == 0, done.output
    assert "data/features/clip: 5 imported, 0 kept, 0 pruned, 0 failed" in done.output
    assert "taken to be of extract.clip" in done.output
    assert "everything after is meaningless" in done.output
    assert "one row every 1 s; if they are of another model" in done.output
    done = CliRunner().invoke(app, [str(source), "clip", "--offset-s", "-1"])
    assert "5 imported" in done.output
    assert "one row every 1 s, the first from -1 s; if they are of another model" in done.output
    assert CliRunner().invoke(app, [str(source), "clip"]).exit_code == 0
    put(source, "train/fall/bad", np.zeros((1, DIM), np.float32))
    done = CliRunner().invoke(app, [str(source), "clip"])
    assert "0 imported, 5 kept, 0 pruned, 1 failed" in done.output
    assert isinstance(done.exception, BatchError)
    assert done.exception.exit_code == 2

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline_lib.errors import BatchError, DataError
from pipeline_lib.retrieval import run as running
from pipeline_lib.retrieval.catalogue import INDEX, read_catalogue
from pipeline_lib.retrieval.files import EmbedOptions
from pipeline_lib.retrieval.records import read_record, record_path
from pipeline_lib.retrieval.run import EmbeddingRun
from pipeline_lib.retrieval.written import parse_formats
from pipeline_lib.storage.hash_cache import HashCache
from tests.retrieval.number_model import DIM, NumberModel
from tests.support.video_files import constant_rate, garbage

ALL = EmbedOptions(("npy", "json"), consolidated=True, summary=True)
FROM = {"model": None, "config": None}


def embed(source, out, model=None, options=ALL):
    model = model or NumberModel()
    report = EmbeddingRun(source, out, options, HashCache(None)).embed(lambda: model, FROM)
    return report, model


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def videos(tmp_path):
    """Two files of one stem in two folders, one corrupt, one empty folder, one of zero bytes."""
    folder = tmp_path / "videos"
    constant_rate(folder / "a.mp4", 30)
    constant_rate(folder / "sub" / "a.mp4", 50)
    garbage(folder / "corrupt.mp4")
    (folder / "zero.avi").write_bytes(b"")
    (folder / "nothing").mkdir()
    (folder / "notes.txt").write_text("no video")
    (folder / ".hidden.mp4").write_bytes(b"x")
    return folder


def test_a_folder_with_broken_videos(videos, tmp_path):
    out = tmp_path / "out"
    report, model = embed(videos, out)
    assert sum(model.seen) == 2
    assert (report.embedded, report.kept, len(report.failures)) == (2, 0, 2)
    with pytest.raises(BatchError, match=r"2 of 4 videos could not be embedded, first: .*corrupt"):
        report.raise_failures()
    failures = pd.read_csv(out / "failures.csv")
    assert failures["file"].tolist() == ["corrupt.mp4", "zero.avi"]
    assert failures["reason"].tolist() == ["unreadable", "empty"]
    summary = json.loads((out / "processing_summary.json").read_text())
    assert (summary["status"], summary["total_videos"]) == ("partial", 4)
    assert (summary["processed"], summary["failed"]) == (2, 2)
    assert summary["failed_videos"] == [str(videos / "corrupt.mp4"), str(videos / "zero.avi")]
    assert summary["results"][0]["embedding_shape"] == [DIM]
    assert summary["results"][-1]["error"].startswith("empty: ")
    assert not (out / "corrupt_embedding.npy").exists()


def test_all_formats_say_the_same(videos, tmp_path):
    out = tmp_path / "out"
    embed(videos, out, options=EmbedOptions(("npy", "json", "parquet"), consolidated=True))
    whole = json.loads((out / "consolidated_embeddings.json").read_text())
    table = pd.read_parquet(out / "embeddings.parquet")
    assert list(whole["embeddings"]) == table["name"].tolist() == ["a", "sub/a"]
    for number, name in enumerate(table["name"]):
        vector = np.load(out / f"{name}_embedding.npy")
        single = json.loads((out / f"{name}_embedding.json").read_text())
        assert vector.dtype == np.float32
        assert vector.shape == (DIM,)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)
        assert single["embedding"] == vector.tolist() == whole["embeddings"][name]["embedding"]
        assert table["embedding"][number].tolist() == vector.tolist()
        assert single["shape"] == [DIM]
        assert single["dtype"] == "float32"
        assert single["video_path"] == whole["embeddings"][name]["video_path"]
        assert single["model"]["trained"] is True
        assert np.array_equal(read_record(out, name).video, vector)
    assert whole["metadata"]["total_videos"] == 4
    assert (whole["metadata"]["successful"], whole["metadata"]["failed"]) == (2, 2)


def test_a_second_run_changes_no_byte_and_embeds_nothing(videos, tmp_path, monkeypatch):
    out = tmp_path / "out"
    embed(videos, out)
    before = digests(out)
    monkeypatch.setattr(running, "_now", lambda: "another day")
    report, model = embed(videos, out)
    assert (model.seen, report.kept) == ([], 2)
    assert digests(out) == before
    report, model = embed(videos, out, options=EmbedOptions(("npy",)))
    assert model.seen == []
    gone = {"consolidated_embeddings.json", "processing_summary.json"}
    gone |= {"a_embedding.json", "sub/a_embedding.json"}
    assert before.keys() - digests(out).keys() == gone
    report, model = embed(videos, out)
    assert model.seen == []
    again = digests(out)
    # What was measured is gone with the file that said it.
    assert {k: v for k, v in again.items() if "summary" not in k} == {
        k: v for k, v in before.items() if "summary" not in k
    }


def test_two_runs_elsewhere_write_the_same_bytes(videos, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "_now", lambda: "one day")
    first, second = tmp_path / "first", tmp_path / "second"
    embed(videos, first, options=EmbedOptions(parse_formats("all"), consolidated=True))
    embed(videos, second, options=EmbedOptions(parse_formats("all"), consolidated=True))
    assert digests(first) == digests(second)


def test_only_what_changed_is_embedded(videos, tmp_path):
    out = tmp_path / "out"
    embed(videos, out)
    kept = read_record(out, "sub/a").sha256
    constant_rate(videos / "a.mp4", 40)
    constant_rate(videos / "b.mp4", 12)
    (videos / "zero.avi").unlink()
    report, model = embed(videos, out)
    assert (sum(model.seen), report.kept) == (2, 1)
    assert list(report.names) == ["a", "b", "sub/a"]
    assert read_record(out, "sub/a").sha256 == kept
    (videos / "a.mp4").unlink()
    shutil.rmtree(videos / "sub")
    report, model = embed(videos, out)
    assert (model.seen, report.kept, report.pruned) == ([], 1, 2)
    left = set(digests(out))
    assert not any(name.startswith(("a_", "sub/", "frames/a", "frames/sub")) for name in left)
    assert not (out / "sub").exists()
    catalogue = read_catalogue(out)
    assert catalogue.entries["b"].row == 0
    assert np.load(out / INDEX / "vectors.npy").shape == (1, DIM)


def test_a_video_that_breaks_loses_its_old_embedding(videos, tmp_path):
    out = tmp_path / "out"
    embed(videos, out)
    garbage(videos / "a.mp4")
    report, _ = embed(videos, out)
    assert list(report.names) == ["sub/a"]
    assert not (out / "a_embedding.npy").exists()
    assert not record_path(out, "a").exists()


def test_another_model_embeds_all_again(videos, tmp_path):
    out = tmp_path / "out"
    embed(videos, out)
    report, model = embed(videos, out, NumberModel(version=2))
    assert (sum(model.seen), report.kept) == (2, 0)
    assert json.loads((out / "a_embedding.json").read_text())["model"]["version"] == 2


def test_a_killed_run_goes_on(videos, tmp_path):
    out = tmp_path / "out"
    for number in range(6):
        constant_rate(videos / f"v{number}.mp4", 10 + number)

    class Killed(NumberModel):
        def encode_videos(self, frames):
            if len(self.seen) == 2:
                raise KeyboardInterrupt
            return super().encode_videos(frames)

    with pytest.raises(KeyboardInterrupt):
        embed(videos, out, Killed())
    assert not (out / INDEX).exists()
    (out / "frames" / ".0123456789ab-x.partial.npz").write_bytes(b"half")
    standing = len(list((out / "frames").rglob("[!.]*.npz")))
    report, model = embed(videos, out)
    assert report.kept == standing
    assert sum(model.seen) == 8 - standing
    assert not list((out / "frames").glob(".*"))
    fresh = tmp_path / "fresh"
    embed(videos, fresh)
    for name in report.names:
        assert record_path(out, name).read_bytes() == record_path(fresh, name).read_bytes()


def test_a_run_killed_over_a_changed_video_is_not_believed(videos, tmp_path):
    out = tmp_path / "out"
    embed(videos, out)
    first = (videos / "a.mp4").read_bytes()
    constant_rate(videos / "a.mp4", 44)

    def refuse(*_):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "write_catalogue", refuse)
        with pytest.raises(KeyboardInterrupt):
            embed(videos, out)
    (videos / "a.mp4").write_bytes(first)  # the old table would know this hash and this size
    _, model = embed(videos, out)
    assert sum(model.seen) == 1


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not a zip"])
def test_a_damaged_record_is_made_again(videos, tmp_path, damage):
    out = tmp_path / "out"
    embed(videos, out)
    whole = record_path(out, "a").read_bytes()
    record_path(out, "a").write_bytes(damage)
    _, model = embed(videos, out)
    assert sum(model.seen) == 1
    assert record_path(out, "a").read_bytes() == whole


@pytest.mark.parametrize("more", [False, True])
def test_damaged_vectors_are_made_again(videos, tmp_path, more):
    embed(videos, tmp_path / "out")
    vectors = tmp_path / "out" / INDEX / "vectors.npy"
    whole = vectors.read_bytes()
    if more:
        constant_rate(videos / "zz.mp4", 5)
    vectors.write_bytes(b"damaged")
    model = NumberModel()
    embed(videos, tmp_path / "out", model)
    assert len(model.seen) == more  # from the records
    assert vectors.read_bytes().startswith(b"\x93NUMPY")
    assert more or vectors.read_bytes() == whole


def test_a_damaged_table_says_what_to_remove(videos, tmp_path):
    embed(videos, tmp_path / "out")
    (tmp_path / "out" / INDEX / "videos.parquet").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"videos.parquet: not a readable") as caught:
        embed(videos, tmp_path / "out")
    assert "Remove" in caught.value.hint
    shutil.rmtree(tmp_path / "out" / INDEX)
    model = NumberModel()
    embed(videos, tmp_path / "out", model)
    assert model.seen == []


def test_names_stay_when_videos_come_and_go(tmp_path):
    folder, out = tmp_path / "videos", tmp_path / "out"
    constant_rate(folder / "x.mkv", 10)
    report, _ = embed(folder, out)
    assert report.names == {"x": "x.mkv"}
    constant_rate(folder / "x.mp4", 12)
    constant_rate(folder / "sub" / "x.mov", 14)
    report, model = embed(folder, out)
    assert report.names == {"sub/x": "sub/x.mov", "x": "x.mkv", "x.mp4": "x.mp4"}
    assert sum(model.seen) == 2
    (folder / "x.mkv").unlink()
    report, model = embed(folder, out)
    assert report.names == {"sub/x": "sub/x.mov", "x.mp4": "x.mp4"}
    assert model.seen == []
    fresh, _ = embed(folder, tmp_path / "fresh")
    assert fresh.names == {"sub/x": "sub/x.mov", "x": "x.mp4"}


def test_hostile_names(tmp_path):
    folder, out = tmp_path / "videos", tmp_path / "out"
    constant_rate(folder / "-x $(rm) 'ü'.mp4", 10)
    constant_rate(folder / f"{'n' * 245}.mp4", 10)
    (folder / "dead.mp4").symlink_to(folder / "nowhere")
    source = constant_rate(folder / "ok.mp4", 10)
    shutil.copy(source, (str(folder) + "/bad\udce4.mp4").encode("utf-8", "surrogateescape"))
    report, _ = embed(folder, out)
    reasons = {failure.file: failure.reason for failure in report.failures}
    assert list(report.names) == ["-x $(rm) 'ü'", "ok"]
    assert reasons.pop("dead.mp4") == "missing"
    assert sorted(reasons.values()) == ["bad_name", "name_too_long"]
    assert embed(folder, out)[1].seen == []


def test_mistakes(videos, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="holds no videos"):
        embed(empty, tmp_path / "out")
    with pytest.raises(DataError, match="no such folder"):
        embed(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(DataError, match="not a folder"):
        embed(videos / "a.mp4", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    embed(videos, tmp_path / "out")
    other = tmp_path / "other"
    constant_rate(other / "z.mp4", 5)
    with pytest.raises(DataError, match="holds embeddings of other videos"):
        embed(other, tmp_path / "out")


def test_all_videos_broken(tmp_path):
    folder, out = tmp_path / "videos", tmp_path / "out"
    garbage(folder / "x.mp4")
    report, _ = embed(folder, out)
    assert json.loads((out / "processing_summary.json").read_text())["status"] == "failed"
    with pytest.raises(BatchError):
        report.raise_failures()
    assert json.loads((out / "consolidated_embeddings.json").read_text())["embeddings"] == {}
    constant_rate(folder / "x.mp4", 5)
    assert embed(folder, out)[0].names == {"x": "x.mp4"}


def test_formats():
    assert parse_formats("both") == parse_formats("json,npy") == ("npy", "json")
    assert parse_formats("numpy") == ("npy",)
    with pytest.raises(Exception, match=r"no format 'jsn'[\s\S]*'json'"):
        parse_formats("jsn")
    with pytest.raises(Exception, match="No format"):
        parse_formats(" , ")

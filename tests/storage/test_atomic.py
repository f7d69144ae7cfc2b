import errno
import json
import os
import resource
import shutil
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from pipeline_lib.errors import DataError
from pipeline_lib.storage.atomic import replacing, write_json, write_text
from pipeline_lib.storage.directories import replacing_directory
from pipeline_lib.storage.tables import read_parquet, write_csv, write_parquet


def test_a_failed_write_leaves_the_old_content_and_no_litter(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(TypeError), replacing(path) as temporary:
        temporary.write_text(3)  # type: ignore[arg-type]
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.fixture
def small_files_only():
    """No file may grow beyond a page."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_want_of_room_names_the_place_in_any_language(tmp_path, small_files_only):
    tensors = {"a": torch.zeros(9999)}
    with pytest.raises(OSError, match="File too large") as told:
        write_text(tmp_path / "a.txt", "x" * 9999)
    assert told.value.filename == str(tmp_path / "a.txt")
    with pytest.raises(OSError, match="File too large") as told, replacing(tmp_path / "a") as file:
        save_file(tensors, file)
    assert (told.value.errno, told.value.filename) == (errno.EFBIG, str(tmp_path / "a"))
    with (
        pytest.raises(OSError, match="File too large"),
        replacing_directory(tmp_path / "b") as b,
    ):
        save_file(tensors, b / "a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("free", "error"), [(4096, OSError), (1 << 40, RuntimeError)])
def test_a_writer_that_fails_on_a_full_disk(tmp_path, monkeypatch, free, error):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    with pytest.raises(error) as told, replacing(tmp_path / "last.pt"):
        raise RuntimeError("unexpected pos 20654528 vs 20654420")
    assert error is RuntimeError or told.value.strerror == os.strerror(errno.ENOSPC)


def test_a_write_replaces_the_file_instead_of_writing_through_a_link(tmp_path):
    cached = tmp_path / "cache"
    cached.write_text("cached")
    (tmp_path / "out").hardlink_to(cached)
    write_text(tmp_path / "out", "new")
    assert cached.read_text() == "cached"


def test_json_refuses_nan_and_keeps_none(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    write_json(tmp_path / "sub" / "b.json", {"x": None, "name": "쓰"})
    assert json.loads((tmp_path / "sub" / "b.json").read_text()) == {"x": None, "name": "쓰"}


def test_tables_are_byte_identical_and_checked(tmp_path):
    table = pd.DataFrame({"video": ["a", "b"], "n": [1, 2]})
    write_parquet(tmp_path / "1.parquet", table)
    write_parquet(tmp_path / "2.parquet", table)
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()
    assert read_parquet(tmp_path / "1.parquet", ("video", "n"))["n"].tolist() == [1, 2]
    with pytest.raises(DataError, match="no column 'label'; it has video, n"):
        read_parquet(tmp_path / "1.parquet", ("label",))
    with pytest.raises(DataError, match="No table"):
        read_parquet(tmp_path / "none.parquet", ())
    (tmp_path / "bad.parquet").write_text("no")
    with pytest.raises(DataError, match="not a readable parquet") as caught:
        read_parquet(tmp_path / "bad.parquet", ())
    assert "dvc repro" in caught.value.hint
    write_csv(tmp_path / "t.csv", table)
    assert (tmp_path / "t.csv").read_text() == "video,n\na,1\nb,2\n"

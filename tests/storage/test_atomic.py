import json

import pandas as pd
import pytest

from pipeline_lib.errors import DataError
from pipeline_lib.storage.atomic import replacing, write_json, write_text
from pipeline_lib.storage.tables import read_parquet, write_csv, write_parquet


def test_a_failed_write_leaves_the_old_content_and_no_litter(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(TypeError), replacing(path) as temporary:
        temporary.write_text(3)  # type: ignore[arg-type]
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


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
    with pytest.raises(DataError, match="not a readable parquet"):
        read_parquet(tmp_path / "bad.parquet", ())
    write_csv(tmp_path / "t.csv", table)
    assert (tmp_path / "t.csv").read_text() == "video,n\na,1\nb,2\n"

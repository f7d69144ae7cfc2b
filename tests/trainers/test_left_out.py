from pathlib import Path

import pytest

from pipeline_lib.datasets.video_lists.missing import MissingVideo
from pipeline_lib.errors import BatchError
from pipeline_lib.trainers.left_out import failure_table, raise_left_out, write_failures

MISSING = [
    ("train", MissingVideo("a", "/videos/a.mp4", "no such file", 3)),
    ("val", MissingVideo("b", "/videos/b.mp4", "broken")),
]


def test_a_row_for_each_video():
    table = failure_table(MISSING)
    assert list(table.columns) == ["split", "id", "path", "reason", "line"]
    assert table["split"].tolist() == ["train", "val"]
    assert table["line"].isna().tolist() == [False, True]
    assert table["line"][0] == 3
    assert list(failure_table([]).columns) == list(table.columns)


def test_an_older_table_goes_where_nothing_failed(tmp_path):
    write_failures(tmp_path, MISSING)
    assert (tmp_path / "failures.csv").read_text().splitlines()[1] == (
        "train,a,/videos/a.mp4,no such file,3"
    )
    write_failures(tmp_path, [])
    assert not any(tmp_path.iterdir())


def test_the_error_counts_them_and_names_the_first():
    said = r"2 of 7 videos could not be used, first: a \(train\): no such file"
    with pytest.raises(BatchError, match=rf"{said}(.|\n)*out/failures.csv") as error:
        raise_left_out(MISSING, 7, Path("out"), "train.videomamba")
    assert "train.videomamba.dataset.on_missing: list" in error.value.hint
    raise_left_out([], 7, Path("out"), "train.videomamba")

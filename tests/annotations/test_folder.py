import pytest

from pipeline_lib.annotations.folder import read_event_tables
from pipeline_lib.errors import DataError

HEADER = "file_name,start_time,end_time\n"


def write(folder, *names):
    for name in names:
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(HEADER + "a,1,2\n", encoding="utf-8")
    return folder


def test_tables_belong_to_the_class_of_their_name(tmp_path):
    folder = write(
        tmp_path, "Fall_timestamp.csv", "fight_timestamp.CSV", ".hidden.csv", "notes.txt"
    )
    tables = read_event_tables(folder, ["fall", "fight", "normal"])
    assert list(tables) == ["fall", "fight"]
    assert tables["fall"].path == folder / "Fall_timestamp.csv"
    assert [row.file_name for row in tables["fall"].rows] == ["a"]


def test_exact_name_wins_over_letter_case(tmp_path):
    folder = write(tmp_path, "Fall_timestamp.csv")
    assert list(read_event_tables(folder, ["fall", "Fall"])) == ["Fall"]


def test_decomposed_file_name_matches_composed_class(tmp_path):
    folder = write(tmp_path, "cafe\u0301_timestamp.csv")
    assert list(read_event_tables(folder, ["caf\u00e9"])) == ["caf\u00e9"]


def test_unknown_class_names_the_nearest(tmp_path):
    folder = write(tmp_path, "fal_timestamp.csv")
    with pytest.raises(DataError, match=r"fal_timestamp\.csv: no class 'fal'") as caught:
        read_event_tables(folder, ["fall", "normal"])
    assert "Did you mean 'fall'?" in caught.value.hint


def test_a_table_without_the_ending_is_not_ignored(tmp_path):
    folder = write(tmp_path, "fall_timestamps.csv")
    with pytest.raises(DataError, match=r"not named \{class\}_timestamp\.csv"):
        read_event_tables(folder, ["fall"])


def test_two_tables_of_one_class(tmp_path):
    folder = write(tmp_path, "Fall_timestamp.csv", "fall_timestamp.csv")
    with pytest.raises(DataError, match="both tables of class 'fall'"):
        read_event_tables(folder, ["fall"])


def test_missing_and_empty_folder(tmp_path):
    with pytest.raises(DataError, match="No annotation folder"):
        read_event_tables(tmp_path / "annotations", ["fall"])
    with pytest.raises(DataError, match="holds no table"):
        read_event_tables(tmp_path, ["fall"])


def test_a_header_alone_is_said(tmp_path, caplog):
    (tmp_path / "fall_timestamp.csv").write_text(HEADER)
    assert read_event_tables(tmp_path, ["fall"])["fall"].rows == ()
    assert "has a header and no events" in caplog.text

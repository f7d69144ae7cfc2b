import unicodedata

import pytest

from pipeline_lib.annotations.folder import read_event_tables
from pipeline_lib.annotations.matching import match_events
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


def test_from_the_file_to_the_videos(tmp_path):
    """A byte order mark, all forms of time, numeric and dotted names, either Unicode form."""
    name = "쓰러짐_1"
    decomposed = unicodedata.normalize("NFD", name)
    assert decomposed != name
    rows = ["001,00:06,7.25", "cam.1_003.mp4,01:02:03.5,1:05:00", f"{decomposed},61:05,3666",
            "001.mp4,20,30", "cam.1_003,5,6"]  # fmt: skip
    text = HEADER + "".join(f"{row}\n" for row in rows)
    (tmp_path / "fall_timestamp.csv").write_text(text, encoding="utf-8-sig")
    tables = read_event_tables(tmp_path, ["fall", "normal"])
    videos = {f"train/fall/{stem}": 4000.0 for stem in ("001", "1", "cam.1_003", "cam", name)}
    found = match_events(tables, videos)
    assert found.unmatched_rows == 0
    assert found.events == {
        "train/fall/001": ((6.0, 7.25), (20.0, 30.0)),
        "train/fall/cam.1_003": ((5.0, 6.0), (3723.5, 3900.0)),
        f"train/fall/{name}": ((3665.0, 3666.0),),
    }

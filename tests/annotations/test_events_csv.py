import pytest

from pipeline_lib.annotations.events_csv import BadRow, EventRow, read_events, sift_events
from pipeline_lib.errors import DataError

HEADER = "file_name,start_time,end_time\n"


@pytest.fixture
def table(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "fall_timestamp.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return path

    return write


def test_reads_rows_with_their_lines(table):
    path = table(HEADER + "a.mp4,1:05,7.5e1\n\ncam.1_003,00:06,01:02:03.5\n")
    assert read_events(path) == (
        EventRow(2, "a.mp4", 65.0, 75.0),
        EventRow(4, "cam.1_003", 6.0, 3723.5),
    )


def test_numeric_names_stay_text(table):
    (row,) = read_events(table(HEADER + "001,1,2\n"))
    assert row.file_name == "001"


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_byte_order_mark_and_line_ends(table, newline):
    text = (HEADER + "a,1,2\nb,3,4\n").replace("\n", newline)
    rows = read_events(table(text, "utf-8-sig"))
    assert [(row.line, row.file_name) for row in rows] == [(2, "a"), (3, "b")]


def test_alias_extra_columns_and_any_order(table):
    path = table('duration, end_time ,filename,start_time,note\n9,4,a,3,"x, y"\n')
    assert read_events(path) == (EventRow(2, "a", 3.0, 4.0),)


def test_names_are_stripped_and_normalised(table):
    decomposed, composed = "caf\u0065\u0301", "caf\u00e9"
    (row,) = read_events(table(f"{HEADER} {decomposed} ,1,2\n"))
    assert row.file_name == composed


def test_quoted_line_breaks_keep_the_line_numbers(table):
    path = table('file_name,start_time,end_time,note\na,1,2,"x\ny"\nb,-,2,z\n')
    with pytest.raises(DataError, match=r"row 4: start_time '-' is blank"):
        read_events(path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,,2", r"row 2: start_time '' is blank"),
        ("a,1,-", r"row 2: end_time '-' is blank"),
        ("a,NaN,2", r"row 2: start_time 'NaN' is blank"),
        ("a,-1,2", r"row 2: start_time '-1' is negative"),
        ("a,1,soon", r"row 2: end_time 'soon' is not a time"),
        ("a,2,2", r"row 2: end_time '2' is not after start_time '2'"),
        ("a,1:00,59", r"row 2: end_time '59' is not after start_time '1:00'"),
        (",1,2", r"row 2: file_name '' is blank"),
        (",,", r"row 2: file_name '' is blank; start_time '' is blank; end_time '' is blank"),
        ("a,1", r"row 2: 2 fields where the header has 3"),
        ("a,1,2,", r"row 2: 4 fields where the header has 3"),
        ('"a"b,1,2', r"row 2: not valid CSV"),
        ('a,1,"2', r"row 2: not valid CSV"),
    ],
)
def test_bad_rows_are_named(table, row, message):
    path = table(HEADER + row + "\n")
    with pytest.raises(DataError, match=message) as caught:
        read_events(path)
    assert str(path) in caught.value.message
    assert "minutes:seconds" in str(caught.value)


def test_all_bad_rows_come_in_one_error(table):
    path = table(HEADER + "a,1,2\n" + "b,-,2\n" * 12)
    with pytest.raises(DataError) as caught:
        read_events(path)
    message = caught.value.message
    assert "12 rows cannot be used" in message
    assert "row 3:" in message
    assert "row 12:" in message
    assert "row 13:" not in message
    assert message.endswith("and 2 more")


@pytest.mark.parametrize(
    ("header", "message", "hint"),
    [
        ("file_name,start,end_time", r"no column 'start_time'; it has 'file_name', 'start'", "Is"),
        ("file_name;start_time;end_time", r"no column 'file_name'", "commas"),
        ("a,b,c", r"no column 'file_name'; it has 'a', 'b', 'c'", "must name the columns"),
        ("File_Name,start_time,end_time", r"no column 'file_name'", "Is 'File_Name' meant"),
        ("file_name,filename,start_time,end_time", r"more than one column 'file_name'", "one of"),
        ("", r"no column 'file_name'; it has nothing", "must name the columns"),
    ],
)  # fmt: skip
def test_bad_headers(table, header, message, hint):
    with pytest.raises(DataError, match=message) as caught:
        read_events(table(header + "\n"))
    assert hint in caught.value.hint


def test_unreadable_bytes_and_files(table, tmp_path):
    with pytest.raises(DataError, match=r"row 2: not UTF-8"):
        read_events(table((HEADER + "쓰러짐,1,2\n").encode("cp949")))
    with pytest.raises(DataError, match="cannot be read"):
        read_events(tmp_path / "missing.csv")


def test_header_alone_is_no_event(table):
    assert read_events(table(HEADER)) == ()


def test_good_and_bad_rows_are_sifted_and_a_label_is_kept(table):
    path = table("file_name,class,start_time,end_time\na, fall ,1,2\nb,fire,2,1\n,x,y\n")
    rows, bad = sift_events(path)
    assert rows == (EventRow(2, "a", 1.0, 2.0, "fall"),)
    assert bad == (
        BadRow(3, "end_time '1' is not after start_time '2'"),
        BadRow(4, "3 fields where the header has 4"),
    )

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.annotations.timestamps import parse_time
from pipeline_lib.errors import DataError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("01:02:03.5", 3723.5),
        ("61:05", 3665),
        ("00:06", 6),
        ("7.25", 7.25),
        ("7", 7),
        ("0", 0),
        (".5", 0.5),
        ("5.", 5),
        ("1e1", 10),
        (" 2:03 ", 123),
        ("1:2", 62),
        ("600:59.9", 36059.9),
        ("100:00:00", 360000),
    ],
)
def test_all_forms(text, seconds):
    assert parse_time(text) == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize("text", ["", "  ", "-", "NaN", "nan", "N/A", "None"])
def test_blank(text):
    with pytest.raises(DataError, match="is blank"):
        parse_time(text)


@pytest.mark.parametrize("text", ["-3", "-0:05", "-1.5"])
def test_negative(text):
    with pytest.raises(DataError, match="is negative"):
        parse_time(text)


@pytest.mark.parametrize(
    "text", ["abc", "1,5", "5s", "1:2:3:4", "1:", ":30", "1::2", "inf", "1_000", "٣", "1:-2", "+5"]
)
def test_unparsable(text):
    with pytest.raises(DataError, match="is not a time"):
        parse_time(text)


@pytest.mark.parametrize("text", ["0:60", "1:75.5", "1:60:00"])
def test_parts_after_a_colon_stay_below_sixty(text):
    with pytest.raises(DataError, match="60 or more"):
        parse_time(text)


def test_overflow_is_refused():
    with pytest.raises(DataError, match="too large"):
        parse_time("1e999")


@given(st.integers(0, 10**6), st.integers(0, 59), st.integers(0, 999))
def test_minutes_are_unlimited(minutes, seconds, milli):
    text = f"{minutes}:{seconds:02d}.{milli:03d}"
    assert parse_time(text) == pytest.approx(minutes * 60 + seconds + milli / 1000)

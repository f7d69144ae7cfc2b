"""Positions and lines of JSON values."""

import json
import math
import time
from json.decoder import JSONDecodeError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.datasets.json_lines import JsonScanner, Lines, find_value

TEXTS = st.text(st.characters(exclude_categories=()), max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=15,
)
BLANKS = st.lists(st.sampled_from([" ", "\t", "\n", "\r\n", "\r"]), max_size=2).map("".join)


def written(draw, value):
    """``value`` as JSON with blanks wherever the format has room for some."""
    dump = json.JSONEncoder(ensure_ascii=draw(st.booleans())).encode
    if isinstance(value, dict):
        inner = ",".join(
            draw(BLANKS) + dump(key) + draw(BLANKS) + ":" + written(draw, part)
            for key, part in value.items()
        )
        text = "{" + (inner or draw(BLANKS)) + "}"
    elif isinstance(value, list):
        inner = ",".join(written(draw, part) for part in value)
        text = "[" + (inner or draw(BLANKS)) + "]"
    else:
        text = dump(value)
    return draw(BLANKS) + text + draw(BLANKS)


@st.composite
def texts_and_values(draw):
    value = draw(VALUES)
    return written(draw, value), value


def places(value, path=()):
    yield path, value
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for part, child in inner:
            yield from places(child, (*path, part))


@given(texts_and_values())
def test_every_value_is_found_on_its_line(case):
    text, value = case
    assert json.loads(text) == value  # the text is what it should be
    lines = Lines(text)
    start = JsonScanner(text).position
    for path, part in places(value):
        position = find_value(text, start, *path)
        assert json.JSONDecoder().raw_decode(text, position)[0] == part
        before = text[:position].replace("\r\n", "\n").replace("\r", "\n").split("\n")
        assert lines.at(position) == len(before)
        assert lines.column(position) == len(before[-1]) + 1


@given(texts_and_values())
def test_a_whole_text_is_read_as_json_reads_it(case):
    text, value = case
    scanner = JsonScanner(text)
    assert scanner.value() == value
    scanner.end()


@given(texts_and_values(), st.data())
def test_a_damaged_text_is_refused_where_json_refuses_it(case, data):
    text, _ = case
    cut = data.draw(st.integers(0, len(text)))
    put = data.draw(st.sampled_from(["", ",", "]", "}", '"', "{", "[", ":", "\\", "x"]))
    damaged = text[:cut] + put + text[cut + data.draw(st.integers(0, 2)) :]
    try:
        expected = json.loads(damaged)
    except JSONDecodeError:
        with pytest.raises(JSONDecodeError):
            walk(JsonScanner(damaged))
    else:
        assert walk(JsonScanner(damaged)) == expected


def walk(scanner):
    """Reads a text member by member and element by element."""

    def inside():
        if scanner.at_object():
            return {key: inside() for key, _ in scanner.members()}
        if scanner.at_array():
            return [inside() for _ in scanner.elements()]
        return scanner.value()

    value = inside()
    scanner.end()
    return value


def test_members_that_are_not_read_are_skipped():
    scanner = JsonScanner(' {"a": [1, {"b": 2}], "c": 3 , "d": {}} ')
    read = {key: scanner.value() for key, _ in scanner.members() if key == "c"}
    scanner.end()
    assert read == {"c": 3}


def test_repeated_keys_are_told_and_the_last_counts():
    text = '{"a": 1, "b": {"c": 1, "c": 2}, "a": 3, "a": 4}'
    value = JsonScanner(text).value()
    assert value == {"a": 4, "b": {"c": 2}}
    assert value.repeated == ("a",)
    assert value["b"].repeated == ("c",)
    assert text[find_value(text, 0, "a")] == "4"
    assert text[find_value(text, 0, "b", "c")] == "2"


@pytest.mark.parametrize("path", [("b",), (0,), ("a", 2), ("a", "b"), ("a", 0, "c")])
def test_what_is_not_there_is_not_found(path):
    with pytest.raises((KeyError, JSONDecodeError)):
        find_value('{"a": [1, 2]}', 0, *path)


def test_numbers_that_no_float_holds():
    values = JsonScanner(f"[{'9' * 5000}, -{'9' * 5000}, NaN, -Infinity, 1e999]").value()
    assert values[:2] == [math.inf, -math.inf]
    assert math.isnan(values[2])
    assert values[3:] == [-math.inf, math.inf]


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, "[" * 9_000 + "]" * 9_000])
def test_endless_nesting_is_an_error_like_any_other(text):
    with pytest.raises(JSONDecodeError, match="Nested too deeply"):
        JsonScanner(text).value()


@pytest.mark.parametrize(
    ("text", "message", "position"),
    [
        ("", "Expecting value", 0),
        ("{", "Expecting a key in double quotes", 1),
        ("{'a': 1}", "Expecting a key in double quotes", 1),
        ('{"a" 1}', "Expecting ':'", 5),
        ('{"a": 1 "b": 2}', "Expecting ','", 8),
        ('{"a": 1,}', "Expecting a key in double quotes", 8),
        ('{"a\n": 1}', "Invalid control character", 3),
        ("[1, 2,]", "Expecting value", 6),
        ("[1] 2", "Extra data", 4),
    ],
)
def test_an_error_knows_its_place(text, message, position):
    with pytest.raises(JSONDecodeError, match=message) as caught:
        walk(JsonScanner(text))
    assert caught.value.pos == position


def test_time_grows_with_the_text_alone():
    def seconds(n):
        text = '{"data":[' + ",\n".join('{"id":[1,"ü",{"x":2}]}' for _ in range(n)) + "]}"
        start = time.process_time()
        scanner, lines = JsonScanner(text), Lines(text)
        for _ in scanner.members():
            for number, position in enumerate(scanner.elements()):
                assert lines.at(find_value(text, position, "id", 2, "x")) == number + 1
        return time.process_time() - start

    assert seconds(20_000) < 8 * seconds(5_000) + 0.5

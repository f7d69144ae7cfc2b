"""Reading qa.json."""

import json
import unicodedata

import pytest

from pipeline_lib.datasets.questions import Question, read_questions
from pipeline_lib.errors import DataError

ITEM = {
    "id": "a",
    "question": "When?",
    "choices": ["now", "later"],
    "video_path": "train/fall/a.mp4",
    "support_frames": [1, 2.5],
}


def write(tmp_path, content):
    path = tmp_path / "qa.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def with_field(**changes):
    return {"data": [ITEM, {**ITEM, "id": "b", **changes}]}


def test_items_keep_their_order_and_whole_seconds_become_floats(tmp_path):
    second = {**ITEM, "id": "B", "choices": [], "support_frames": []}
    questions = read_questions(write(tmp_path, {"data": [ITEM, second]}))
    assert questions[0] == Question(
        id="a",
        question="When?",
        choices=("now", "later"),
        video_path="train/fall/a.mp4",
        support_frames=(1.0, 2.5),
    )
    assert [q.id for q in questions] == ["a", "B"]
    assert questions[1].choices == questions[1].support_frames == ()


def test_other_keys_and_a_byte_order_mark_do_no_harm(tmp_path):
    path = tmp_path / "qa.json"
    content = json.dumps({"version": 2, "data": [{**ITEM, "answer": 1}]})
    path.write_text("\ufeff" + content, encoding="utf-8")
    assert len(read_questions(path)) == 1


def test_no_items_is_an_empty_file_not_an_error(tmp_path):
    assert read_questions(write(tmp_path, {"data": []})) == ()


def test_ids_are_compared_in_nfc(tmp_path):
    decomposed = unicodedata.normalize("NFD", "질문")
    path = write(tmp_path, with_field(id=decomposed))
    assert read_questions(path)[1].id == "질문"
    twice = {"data": [{**ITEM, "id": "질문"}, {**ITEM, "id": decomposed}]}
    with pytest.raises(DataError, match=r"data\[0\] and data\[1\] have the same id '질문'"):
        read_questions(write(tmp_path, twice))


@pytest.mark.parametrize("name", list(ITEM))
def test_a_missing_field_is_named_with_its_item(tmp_path, name):
    item = {key: value for key, value in ITEM.items() if key != name}
    with pytest.raises(DataError, match=rf"qa\.json: data\[1\]\.{name}.* is missing"):
        read_questions(write(tmp_path, {"data": [{**ITEM, "id": "first"}, item]}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": 7}, r"data\[1\]\.id = 7: should be a valid string"),
        ({"id": ""}, r"data\[1\]\.id = \"\": should have at least 1 character"),
        ({"question": None}, r"data\[1\]\.question \(item 'b'\) = null"),
        ({"choices": "now"}, r"data\[1\]\.choices \(item 'b'\) = \"now\": should be a valid array"),
        ({"choices": ["now", 3]}, r"data\[1\]\.choices\[1\] \(item 'b'\) = 3"),
        ({"support_frames": 3.0}, r"data\[1\]\.support_frames \(item 'b'\) = 3\.0"),
        ({"support_frames": ["3.0"]}, r"support_frames\[0\] \(item 'b'\) = \"3\.0\""),
        ({"support_frames": [True]}, r"support_frames\[0\] \(item 'b'\) = true"),
        ({"support_frames": [float("nan")]}, r"support_frames\[0\] .* finite number"),
        ({"support_frames": [0, float("inf")]}, r"support_frames\[1\] .* finite number"),
    ],
)
def test_a_wrong_value_is_named_with_item_and_field(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        read_questions(write(tmp_path, with_field(**changes)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        ('{"data": [\n {"id": }]}', "not valid JSON: .* line 2"),
        ("[" * 10_000, "not valid JSON"),
        ("[]", r"the file = \[\]"),
        ("{}", "data is missing"),
        ('{"data": {"a": 1}}', "data = .*: should be a valid array"),
        ('{"data": [3]}', r"data\[0\] = 3: should be an object"),
    ],
)
def test_what_is_no_question_file_is_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_questions(write(tmp_path, text))


def test_all_problems_are_counted(tmp_path):
    with pytest.raises(DataError, match=r"data\[0\]\.id is missing \(4 more problems"):
        read_questions(write(tmp_path, {"data": [{}]}))


def test_no_file_and_no_text(tmp_path):
    with pytest.raises(DataError, match="No question file"):
        read_questions(tmp_path / "qa.json")
    (tmp_path / "qa.json").write_bytes(b'{"data": "\xff"}')
    with pytest.raises(DataError, match="not UTF-8 text"):
        read_questions(tmp_path / "qa.json")

"""Reading qa.json."""

import json
import re
import unicodedata

import pytest

from pipeline_lib.datasets.questions import ItemFault, Question, QuestionFile, read_questions
from pipeline_lib.errors import DataError

ITEM = {
    "id": "a",
    "question": "When?",
    "choices": ["now", "later"],
    "video_path": "train/fall/a.mp4",
    "support_frames": [1, 2.5],
}


def read(tmp_path, content):
    path = tmp_path / "qa.json"
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_bytes(text.encode("utf-8"))
    return read_questions(path)


def one_fault(tmp_path, **changes):
    """The fault of an item beside a good one."""
    found = read(tmp_path, {"data": [ITEM, {**ITEM, "id": "b", **changes}]})
    assert [question.id for question in found.questions] == ["a"]
    (fault,) = found.faults
    return fault


def test_items_keep_their_order_and_whole_seconds_become_floats(tmp_path):
    second = {**ITEM, "id": "B", "choices": [], "support_frames": []}
    found = read(tmp_path, {"data": [ITEM, second]})
    assert found.faults == ()
    assert found.questions[0] == Question(
        id="a",
        question="When?",
        choices=("now", "later"),
        video_path="train/fall/a.mp4",
        support_frames=(1.0, 2.5),
        line=1,
    )
    assert [type(time) for time in found.questions[0].support_frames] == [float, float]
    assert [q.id for q in found.questions] == ["a", "B"]
    assert found.questions[1].choices == found.questions[1].support_frames == ()


def test_other_keys_and_a_byte_order_mark_do_no_harm(tmp_path):
    content = (
        '{"version": 2, "meta": {"data": 3}, "data": [{"answer": NaN, "answer": [1, {"id": 2}],'
        + json.dumps(ITEM)[1:]
        + '], "after": [[1]]}'
    )
    found = read(tmp_path, "\ufeff" + content)
    assert [q.id for q in found.questions] == ["a"]


def test_no_items_is_an_empty_file_not_an_error(tmp_path):
    assert read(tmp_path, {"data": []}) == QuestionFile((), ())


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_item_and_fault_has_its_line(tmp_path, end):
    lines = [
        "\ufeff{",
        ' "data": [',
        "  {",
        '   "id": "good", "question": "a\\nb?", "choices": [],',
        '   "video_path": "v.mp4", "support_frames": []',
        "  },",
        "",
        '  {"id": "q7", "question": "?", "choices": [',
        '    "x", "y"],',
        '   "video_path": "v.mp4", "support_frames": [',
        "     0.5,",
        '     "3s"]},',
        '  {"id": "short", "choices": [],',
        '   "video_path": "v.mp4", "support_frames": []},',
        "  7]}",
    ]
    found = read(tmp_path, end.join(lines))
    assert [question.line for question in found.questions] == [3]
    assert found.faults == (
        ItemFault(
            id="q7",
            video_path="v.mp4",
            line=12,
            reason="bad_field",
            message=f"{tmp_path}/qa.json:12: item 'q7': support_frames[1] = \"3s\" is not a number",
        ),
        ItemFault(
            id="short",
            video_path="v.mp4",
            line=13,
            reason="missing_field",
            message=f"{tmp_path}/qa.json:13: item 'short': question is missing",
        ),
        ItemFault(
            id="",
            video_path="",
            line=15,
            reason="bad_field",
            message=f"{tmp_path}/qa.json:15: data[3]: 7 is not an object",
        ),
    )


@pytest.mark.parametrize("name", list(ITEM))
def test_a_missing_field_is_named_with_its_item(tmp_path, name):
    item = {key: value for key, value in {**ITEM, "id": "b"}.items() if key != name}
    (fault,) = read(tmp_path, {"data": [ITEM, item]}).faults
    assert fault.reason == "missing_field"
    label = r"data\[1\]" if name == "id" else "item 'b'"
    assert re.search(rf"/qa\.json:1: {label}: {name} is missing$", fault.message)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"id": ""}, r"data\[1\]: id is empty"),
        ({"id": None}, r"data\[1\]: id = null is not a text or a whole number"),
        ({"id": True}, r"data\[1\]: id = true is not a text or a whole number"),
        ({"id": 1.0}, r"data\[1\]: id = 1\.0 is not a text or a whole number"),
        ({"id": "\ud800"}, r'data\[1\]: id = "\\ud800" is not valid Unicode'),
        ({"question": None}, "item 'b': question = null is not a text"),
        ({"question": " \n"}, "item 'b': question is blank"),
        ({"question": {"text": "?"}}, "question = {…} is not a text"),
        ({"question": "a\ud83d?"}, r'question = "a\\ud83d\?" is not valid Unicode'),
        ({"choices": None}, r"choices = null is not a list; where there are none, it is \[\]"),
        ({"choices": "now"}, 'choices = "now" is not a list'),
        ({"choices": ["now", 3]}, r"choices\[1\] = 3 is not a text"),
        ({"choices": [["now"]]}, r"choices\[0\] = \[…\] is not a text"),
        ({"video_path": ""}, "video_path is empty"),
        ({"support_frames": 3.0}, r"support_frames = 3\.0 is not a list"),
        ({"support_frames": None}, "support_frames = null is not a list"),
        ({"support_frames": ["3.0"]}, r'support_frames\[0\] = "3\.0" is not a number'),
        ({"support_frames": [True]}, r"support_frames\[0\] = true is not a number"),
        ({"support_frames": [float("nan")]}, r"support_frames\[0\] = NaN is not a finite number"),
        ({"support_frames": [0, float("inf")]}, r"support_frames\[1\] = Infinity is not a finite"),
        ({"support_frames": [10**400]}, r"support_frames\[0\] = Infinity is not a finite"),
        ({"question": 5, "choices": 6}, "question = 5 is not a text; choices = 6 is not a list"),
        ({"choices": [1, 2, 3, 4, 5]}, r"choices\[2\] = 3 is not a text; 2 more$"),
    ],
)
def test_a_wrong_value_is_named_with_item_and_field(tmp_path, changes, says):
    fault = one_fault(tmp_path, **changes)
    assert fault.reason == "bad_field"
    assert re.search(says, fault.message)
    assert fault.id == ("" if "id" in changes else "b")
    assert fault.video_path == changes.get("video_path", "train/fall/a.mp4")
    (fault.message + fault.id + fault.video_path).encode()  # can be written into a table


def test_a_message_is_short_and_moves_no_cursor(tmp_path):
    fault = one_fault(tmp_path, support_frames=["\x1b[2J\u202e" + "x" * 10_000])
    assert len(fault.message) < len(str(tmp_path)) + 200
    assert fault.message.isprintable()


def test_a_field_that_stands_twice_is_a_fault_on_the_later_line(tmp_path):
    text = json.dumps(ITEM)[:-1] + ',\n"question": "Where?"}'
    (fault,) = read(tmp_path, f'{{"data": [{text}]}}').faults
    assert (fault.reason, fault.line) == ("bad_field", 2)
    assert fault.message == f"{tmp_path}/qa.json:2: item 'a': question stands in it more than once"


@pytest.mark.parametrize(
    ("number", "name"), [(7, "7"), (0, "0"), (-3, "-3"), (10**20, "1" + "0" * 20)]
)
def test_a_whole_number_is_an_id(tmp_path, number, name):
    (question,) = read(tmp_path, {"data": [{**ITEM, "id": number}]}).questions
    assert question.id == name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a/b", "holds a slash"),
        ("..", "starts with a dot"),
        ("who?", "Windows refuses"),
        ("a\u202eb", "invisible character"),
        ("NUL", "a device"),
    ],
)
def test_an_id_that_cannot_name_files_is_unsafe(tmp_path, name, says):
    fault = one_fault(tmp_path, id=name)
    assert (fault.reason, fault.id) == ("unsafe_id", name)
    assert says in fault.message


@pytest.mark.parametrize("path", ["../a.mp4", "/etc/passwd", "a\\b.mp4", "c:/a.mp4", "./", "a\0"])
def test_a_path_that_leads_elsewhere_is_unsafe(tmp_path, path):
    fault = one_fault(tmp_path, video_path=path)
    assert (fault.reason, fault.video_path) == ("unsafe_path", path)
    assert "is not below the videos" in fault.message


def repeated(tmp_path, *names):
    items = ",\n".join(json.dumps({**ITEM, "id": name}) for name in names)
    return read(tmp_path, f'{{"data": [\n{items}\n]}}')


def test_ids_are_in_nfc(tmp_path):
    found = repeated(tmp_path, unicodedata.normalize("NFD", "질문"))
    assert [question.id for question in found.questions] == ["질문"]


@pytest.mark.parametrize(
    "pair", [("a", "a"), (7, "7"), ("Q1", "q1"), ("é", "e\u0301"), ("É", "e\u0301")]
)
def test_all_items_of_one_id_are_at_fault(tmp_path, pair):
    found = repeated(tmp_path, pair[0], "other", pair[1])
    assert [question.id for question in found.questions] == ["other"]
    assert [(fault.line, fault.reason) for fault in found.faults] == [
        (2, "repeated_id"),
        (4, "repeated_id"),
    ]
    assert all("2 items" in fault.message for fault in found.faults)
    assert all(fault.message.endswith("on lines 2, 4") for fault in found.faults)


def test_an_id_is_repeated_also_by_an_item_with_another_fault(tmp_path):
    bad = {**ITEM, "choices": None}
    found = read(tmp_path, {"data": [ITEM, bad]})
    assert [fault.reason for fault in found.faults] == ["repeated_id", "bad_field"]
    assert "choices = null" in found.faults[1].message
    assert "its id is that of 2 items" in found.faults[1].message


def test_many_items_of_one_id_take_no_time(tmp_path):
    found = read(tmp_path, {"data": [ITEM] * 5_000})
    assert len(found.faults) == 5_000
    assert found.faults[0].message.endswith("of 5000 items, on lines 1, 1, 1 and 4997 more")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"qa\.json:1: not valid JSON: Expecting value \(column 1\)"),
        ('{"data": [\n {"id": }]}', r"qa\.json:2: not valid JSON: .* \(column 9\)"),
        ('{"data": [{}],\n}', r"qa\.json:2: not valid JSON: Expecting a key .* \(column 1\)"),
        ('{"data": []} x', r"not valid JSON: Extra data \(column 14\)"),
        ('{"data": ["a\nb"]}', "not valid JSON: Invalid control character"),
        ("{'data': []}", "not valid JSON: Expecting a key in double quotes"),
        ("[" * 100_000, "Nested too deeply"),
        ('{"data": [{"id": ' + "[" * 100_000, "Nested too deeply"),
        ("[]", r"holds \[…\], not an object"),
        ("null", "holds null, not an object"),
        ("{}", "no list 'data'; it holds nothing"),
        ('{"items": [], "v": 1}', "no list 'data'; it holds 'items', 'v'"),
        ('{"v": 1,\n"data": {"a": 1}}', r"qa\.json:2: data = {…} is not a list"),
        ('{"data": [],\n"data": []}', r"qa\.json:2: a second 'data'; the first is on line 1"),
    ],
)
def test_what_is_no_question_file_is_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, text)


def test_no_file_and_no_text(tmp_path):
    with pytest.raises(DataError, match="No question file"):
        read_questions(tmp_path / "qa.json")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_questions(tmp_path)
    (tmp_path / "qa.json").write_bytes(b'{"data": "\xff"}')
    with pytest.raises(DataError, match="not UTF-8 text"):
        read_questions(tmp_path / "qa.json")

import json
from pathlib import Path

import pytest

from pipeline_lib.errors import DataError
from pipeline_lib.summary import Gain, headlines, name_pictures, read_rows, rows_of

TREE = {
    "seconds": 3,
    "test": {
        "videos": 9,
        "frame": {"accuracy": 0.8, "macro_f1": None, "recall": {"a.b": 1.0, "c": None}},
        "control": {
            "chance": {"frame": {"accuracy": 0.5}},
            "zero_shot": {"frame": {"accuracy": 0.6, "macro_f1": None, "recall": {"c": 0.1}}},
        },
    },
}


def test_each_number_stands_beside_its_controls() -> None:
    rows = {row.metric: row for row in rows_of("coop", TREE)}
    assert list(rows) == [
        "seconds",
        "test.videos",
        "test.frame.accuracy",
        "test.frame.macro_f1",
        "test.frame.recall.a.b",
        "test.frame.recall.c",
    ]
    assert rows["test.frame.accuracy"].controls == {"chance": 0.5, "zero_shot": 0.6}
    assert rows["test.frame.macro_f1"].value is None
    assert rows["test.frame.macro_f1"].controls == {"zero_shot": None}
    assert rows["test.videos"].controls == {}


def test_headlines_leave_out_counts_and_single_classes() -> None:
    shown = [row.metric for row in headlines(rows_of("coop", TREE))]
    assert shown == ["test.frame.accuracy", "test.frame.macro_f1"]


def test_headlines_ask_each_question_once() -> None:
    level = {"accuracy": 0.5, "accuracy_std": 0.1, "macro_auc": 0.6, "weighted_f1": 0.7}
    tree = {"test": {"frame": level, "control": {"chance": {"frame": level}}}}
    assert [row.metric for row in headlines(rows_of("coop", tree))] == ["test.frame.accuracy"]


def test_headlines_of_retrieval_are_recalls_and_median_ranks() -> None:
    values = {"t2v_r1": 40.0, "t2v_r50": 90.0, "t2v_mdr": 2.0, "t2v_mnr": 9.0, "r_sum": 380.0}
    tree = {"test": {**values, "dsl": values, "control": {"chance": values}}}
    shown = [row.metric for row in headlines(rows_of("tempme_stop", tree))]
    assert shown == ["test.t2v_r1", "test.t2v_mdr", "test.r_sum"]


def test_words_and_switches_are_no_numbers() -> None:
    rows = rows_of("windows", {"settings": {"pre_event": "normal", "strict": True}, "kept": 4})
    assert [row.metric for row in rows] == ["kept"]


def test_files_are_read_in_order_of_their_names(tmp_path: Path) -> None:
    for name in ("coop", "a_model"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"x": 1}))
    assert [row.model for row in read_rows(tmp_path)] == ["a_model", "coop"]


def test_no_metrics_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No metrics in"):
        read_rows(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not readable as JSON"),
        ("[1]", "found list"),
        ('{"test": {"name": [1]}}', "test.name is a list"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "coop.json").write_text(text)
    with pytest.raises(DataError, match=f"coop.json.*{message}"):
        read_rows(tmp_path)


def test_pictures_are_named_and_many_of_a_folder_are_counted(tmp_path: Path) -> None:
    many = [f"sheets/{number}.png" for number in range(7)]
    for name in ("plots/coop/b.png", "plots/coop/a.png", "plots/x.csv", *many):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert name_pictures(tmp_path, tmp_path / "missing") == [
        str(tmp_path / "plots/coop/a.png"),
        str(tmp_path / "plots/coop/b.png"),
        f"{tmp_path}/sheets/ (7 pictures)",
    ]


def test_a_gain_stands_beside_its_number_and_is_no_row_of_its_own() -> None:
    tree = {
        "test": {
            "recall": {"at_1": 0.5, "at_4": 0.75},
            "gain": {"recall": {"at_4": {"mean": 0.25, "se": None}}},
            "control": {"zero_shot": {"recall": {"at_1": 0.5, "at_4": 0.5}}},
        }
    }
    rows = {row.metric: row for row in rows_of("pos_neg", tree)}
    assert list(rows) == ["test.recall.at_1", "test.recall.at_4"]
    assert rows["test.recall.at_1"].gain is None
    assert rows["test.recall.at_4"].gain == Gain(0.25, None)


@pytest.mark.parametrize("kind", ["control", "gain"])
@pytest.mark.parametrize("wrong", [3.0, {"chance": 0.5}])
def test_a_control_that_is_no_branch_is_named(kind, wrong):
    if kind == "gain" and wrong != 3.0:
        wrong = {"frame": 0.5}
    with pytest.raises(DataError, match=rf"coop\.json: test\.{kind} has to hold"):
        rows_of("coop", {"test": {"accuracy": 0.5, kind: wrong}})


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_json_number_is_refused(tmp_path, constant):
    (tmp_path / "coop.json").write_text(f'{{"test": {{"accuracy": {constant}}}}}')
    with pytest.raises(DataError, match=rf"coop\.json: .*{constant} is no JSON"):
        read_rows(tmp_path)

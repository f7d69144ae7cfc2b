import pytest

from pipeline_lib.errors import ConfigError
from pipeline_lib.params_edit import edit_params, edited_text
from pipeline_lib.params_file import load_params

TEXT = """\
# The project's parameters.
data:
  root: data/demo           # where the videos are
  exclude: []
extract:
  backbones: [clip]
  clip:
    model: "local-dir:data/weights/demo_clip"  # the demo's
    weights:
train:
  class_names: {b: B}       # words
"""


@pytest.fixture
def params(tmp_path):
    (tmp_path / "params.yaml").write_text(TEXT)
    return tmp_path / "params.yaml"


def test_only_the_changed_values_are_other_bytes(params):
    changed = edit_params(params, {"data.root": "own", "extract.backbones": ["clip", "dinov2"]})
    assert changed == ["data.root: own", "extract.backbones: ['clip', 'dinov2']"]
    text = TEXT.replace("root: data/demo ", "root: own ").replace("[clip]", "[clip, dinov2]")
    assert [line.split() for line in params.read_text().splitlines()] == [
        line.split() for line in text.splitlines()
    ]


def test_quotes_and_empty_values_stay(params):
    edit_params(params, {"data.exclude": ["a b.mp4"]})
    assert 'model: "local-dir:data/weights/demo_clip"  # the' in params.read_text()
    assert "    weights:\n" in params.read_text()


def test_sections_that_are_not_there_are_made(params):
    assert edit_params(params, {"train.pos_neg.lr": 1e-5}) == ["train.pos_neg.lr: 1e-05"]
    assert load_params(params).train.pos_neg.lr == 1e-5


def test_a_mapping_is_merged_or_replaced_as_a_whole(params):
    edit_params(params, {"train.class_names": {"a": "A"}})
    assert load_params(params).train.class_names == {"a": "A", "b": "B"}
    wanted = {"train.class_names": {"c": "C"}}
    text, changed = edited_text(params, wanted, whole=("train.class_names",))
    assert "class_names: {c: C}" in text
    assert changed == ["train.class_names: {'c': 'C'}"]


def test_nothing_to_change_writes_nothing(params):
    before = params.stat().st_mtime_ns
    assert edit_params(params, {"data.root": "data/demo", "train.class_names": {"b": "B"}}) == []
    assert params.stat().st_mtime_ns == before


def test_values_that_the_parameters_refuse_leave_the_file_and_name_it(params):
    with pytest.raises(ConfigError, match=r"extract\.decoder") as refused:
        edit_params(params, {"extract.decoder": "pyaw"})
    assert refused.value.message.startswith(f"{params} line ")
    assert "pyav" in refused.value.hint
    assert params.read_text() == TEXT

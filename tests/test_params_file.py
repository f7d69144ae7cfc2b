import re
from pathlib import Path

import pytest

from pipeline_lib.config import ExtractConfig, TrainConfig
from pipeline_lib.errors import ConfigError
from pipeline_lib.params_file import load_params, override

SHIPPED = Path(__file__).parent.parent / "params.yaml"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return path


def test_the_shipped_file_is_valid_and_spells_out_every_train_default():
    params = load_params(SHIPPED)
    assert params.train.weight_decay is None
    assert params.train.n_ctx == 16
    keys = set(re.findall(r"^  (\w+):", SHIPPED.read_text().split("\ntrain:")[1], re.MULTILINE))
    assert set(TrainConfig.__dataclass_fields__) <= keys


@pytest.mark.parametrize(
    ("text", "value"), [("1e-5", 1e-5), ("1e-05", 1e-5), ("2e-3", 2e-3), ("1", 1.0)]
)
def test_numbers_are_read_as_yaml_1_2(tmp_path, text, value):
    params = load_params(write(tmp_path, f"data: {{root: x}}\ntrain: {{lr: {text}}}\n"))
    assert params.train.lr == value
    assert isinstance(params.train.lr, float)


def test_yes_and_on_are_words_not_booleans(tmp_path):
    with pytest.raises(ConfigError, match=r'train\.csc = "on": should be a valid boolean'):
        load_params(write(tmp_path, "data: {root: x}\ntrain: {csc: on}\n"))


@pytest.mark.parametrize(
    ("section", "line", "message", "hint"),
    [
        ("train", "n_ctxx: 4", r"line 3: train\.n_ctxx is not a parameter", "'n_ctx'"),
        ("train", "n_ctx: '4'", r'train\.n_ctx = "4": should be a valid integer', None),
        ("train", "n_ctx: 4.5", r"train\.n_ctx = 4\.5: should be a valid integer", None),
        ("train", "n_ctx: 0", "greater than or equal to 1", None),
        ("train", "overlap_ratio: 1.0", "less than 1", None),
        ("train", "class_token_position: frnt", "should be 'end', 'middle' or 'front'", "'front'"),
        ("train", "precision: fp61", "should be 'auto', 'fp32' or 'bf16'", "mean 'fp32'"),
        ("train", "seeds: []", r"train\.seeds = \[\]: should have at least 1 item\.", None),
        ("train", "seeds: 3", r"train\.seeds = 3: should be a list such as \[1, 2\]\.", None),
        ("train", "videomamba: {betas: [0.9]}", r"videomamba\.betas\.1 is required", None),
        ("train", "class_names: [a]", r'= \["a"\]: should be pairs of key: value', None),
        ("extract", "clip_len_s: .inf", "finite", None),
        ("demo_data", "videos_per_class: {trian: 3}", "not a parameter", "'train'"),
        ("runtime", "device: gpu", "should match pattern", None),
    ],
)
def test_a_wrong_value_is_named_with_its_line(tmp_path, section, line, message, hint):
    path = write(tmp_path, f"data: {{root: x}}\n{section}:\n  {line}\n")
    with pytest.raises(ConfigError, match=message) as caught:
        load_params(path)
    assert "line 3" in caught.value.message
    if hint:
        assert hint in caught.value.hint


def test_a_long_value_is_cut_in_the_message(tmp_path):
    path = write(tmp_path, f"data: [{', '.join(['x'] * 5000)}]\n")
    with pytest.raises(ConfigError, match=r"x\W+…: should be a section") as caught:
        load_params(path)
    assert len(caught.value.message) < 400


def test_an_unknown_section_names_the_nearest(tmp_path):
    with pytest.raises(ConfigError, match="trian is not a parameter") as caught:
        load_params(write(tmp_path, "data: {root: x}\ntrian: {}\n"))
    assert "'train'" in caught.value.hint


def test_missing_file_broken_yaml_and_missing_key(tmp_path):
    with pytest.raises(ConfigError, match="No parameter file"):
        load_params(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match=r"line 3: not valid YAML"):
        load_params(write(tmp_path, "data:\n  root: [x\ntrain: 3\n"))
    with pytest.raises(ConfigError, match=r"data is required|data\.root is required"):
        load_params(write(tmp_path, "train: {}\n"))
    with pytest.raises(ConfigError, match="expected sections"):
        load_params(write(tmp_path, "- a\n- b\n"))


def test_override_checks_like_the_file():
    config = ExtractConfig()
    assert override(config, {"every_s": 0.5, "fps": None}).every_s == 0.5
    with pytest.raises(ConfigError, match=r"every_s = -1\.0: should be greater than 0"):
        override(config, {"every_s": -1.0})
    with pytest.raises(ConfigError, match="decoder") as caught:
        override(config, {"decoder": "pyavv"})
    assert "pyav" in caught.value.hint

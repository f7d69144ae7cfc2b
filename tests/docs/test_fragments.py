"""YAML and JSON on the pages are what the readers take."""

import copy
import dataclasses
import json
from functools import cache

import pytest
from ruamel.yaml import YAML

from pipeline_lib.config import Params
from pipeline_lib.errors import CliplineError
from pipeline_lib.params_file import load_params
from tests.docs.instead import OTHER_JSON, OTHER_YAML
from tests.docs.markdown import ROOT, Block, blocks, name, pages
from tests.docs.references import parameter_problem, said_parameters

SECTIONS = {field.name for field in dataclasses.fields(Params)}
FOUND = [block for page in pages() for block in blocks(page)]
LANGUAGES = {"", "bash", "console", "csv", "json", "python", "text", "yaml"}
yaml = YAML(typ="safe", pure=True)


def of(language: str):
    found = [block for block in FOUND if block.language == language]
    return pytest.mark.parametrize("block", found, ids=[block.place for block in found])


def merged(tree: dict, values: dict) -> dict:
    """Sections are merged, values are replaced, as a person edits params.yaml."""
    for key, value in values.items():
        inner = isinstance(value, dict) and isinstance(tree.get(key), dict)
        tree[key] = merged(tree[key], value) if inner else value
    return tree


@cache
def params() -> dict:
    return yaml.load(ROOT / "params.yaml")


def load(values: dict, folder) -> None:
    """Read params.yaml with these values, as the commands do."""
    path = folder / "params.yaml"
    YAML().dump(merged(copy.deepcopy(params()), values), path)
    load_params(path)


def test_blocks_say_a_language_that_somebody_checks():
    assert [b.place for b in FOUND if b.language not in LANGUAGES] == []


@of("yaml")
def test_yaml_is_a_part_of_params(block: Block, tmp_path):
    values = yaml.load(block.text)
    if any(block.page == page and line in block.text for page, line, _ in OTHER_YAML):
        return
    assert set(values) <= SECTIONS, f"{block.place}: no section of params.yaml"
    load(values, tmp_path)


@of("json")
def test_json_is_what_a_reader_takes(block: Block, tmp_path):
    json.loads(block.text)
    if not any(block.page == page and line in block.text for page, line, _ in OTHER_JSON):
        take(block, tmp_path)


def take(block: Block, folder) -> None:
    """Read it with the reader of questions or of captions, whichever its fields belong to."""
    file = folder / "example.json"
    file.write_text(block.text, encoding="utf-8")
    if "support_frames" in block.text:
        from pipeline_lib.datasets.questions import read_questions

        assert read_questions(file).faults == (), block.place
    else:
        raise AssertionError(f"{block.place}: list this format in OTHER_JSON, or give it a reader")


@pytest.mark.parametrize("page", pages(), ids=name)
def test_values_in_the_text_are_allowed(page, tmp_path):
    said = [
        (place, key, nested(key, yaml.load(value)))
        for place, key, value in said_parameters(page)
        if value and "…" not in value and not parameter_problem(key)
    ]
    problems = []
    for place, key, values in said:
        try:
            load(values, tmp_path)
        except CliplineError as error:
            problems.append(f"{place}: `{key}`: {error}")
    assert problems == []


def nested(key: str, value: object) -> dict:
    """`a.b` and a value as the tree {a: {b: value}}."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)  # type: ignore[call-overload]

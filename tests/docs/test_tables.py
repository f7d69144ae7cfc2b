"""The tables of what does not run as it stands name nothing that is gone, and each says why."""

import ast

import pytest

from tests.docs.instead import APPLIED, INSTEAD, OTHER_JSON, OTHER_PYTHON, OTHER_YAML
from tests.docs.markdown import ROOT, blocks, commands

LISTED = [(page, line) for page, line, *_ in (*APPLIED, *OTHER_YAML, *OTHER_JSON, *OTHER_PYTHON)]


def on_page(page: str) -> list[str]:
    """The first lines of a page's commands."""
    found = [block for block in blocks(ROOT / page) if block.language == "bash"]
    return [command.splitlines()[0] for block in found for command in commands(block)]


def test_every_entry_is_still_on_its_page():
    gone = [e for e in INSTEAD if e.command not in on_page(e.page)]
    assert gone == []


@pytest.mark.parametrize(("page", "line"), LISTED)
def test_every_block_is_still_on_its_page(page, line):
    assert [block.place for block in blocks(ROOT / page) if line in block.text]


def test_every_entry_is_held_to_something():
    weak = [e for e in INSTEAD if not any((e.run, e.code, e.before, e.after, e.test, e.serves))]
    assert weak == []
    assert [e for e in INSTEAD if not e.reason] == []
    assert [entry for entry in OTHER_PYTHON if not entry[2]] == []


def test_the_tests_that_stand_in_exist():
    named = [e.test for e in INSTEAD if e.test] + [test for *_, test in OTHER_PYTHON if test]
    missing = []
    for test in named:
        file, _, function = test.partition("::")
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        if function not in names:
            missing.append(test)
    assert missing == []

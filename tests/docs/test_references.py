"""Whatever the documentation names exists: commands, options, parameters, paths, targets, links."""

import re
import tomllib

import pytest

from tests.docs import references
from tests.docs.markdown import ROOT, Block, commands, name, pages

PAGES = pytest.mark.parametrize("page", pages(), ids=name)


@PAGES
def test_commands_have_the_options_they_are_called_with(page):
    problems = [
        f"{place}: {problem}"
        for place, line in references.said_commands(page)
        for problem in references.command_problems(line)
    ]
    assert problems == []


@PAGES
def test_parameters_exist(page):
    problems = [
        f"{place}: {problem}"
        for place, key, _ in references.said_parameters(page)
        if (problem := references.parameter_problem(key))
    ]
    assert problems == []


@PAGES
def test_paths_exist(page):
    problems = [
        f"{place}: {problem}"
        for place, path in references.said_paths(page)
        if (problem := references.path_problem(path))
    ]
    assert problems == []


@PAGES
def test_links_lead_somewhere(page):
    assert references.link_problems(page) == []


@PAGES
def test_make_targets_exist(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    said = [text for _, text in (*references.spans(page), *references.shell_lines(page))]
    named = {match[1] for text in said if (match := re.match(r"make ([a-z-]+)", text))}
    assert named - targets == set()


@PAGES
def test_extras_exist(page):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = re.findall(r"clipline\[([\w,]+)\]|-e '?\.\[([\w,]+)\]", page.read_text("utf-8"))
    extras = {extra for pair in named for found in pair for extra in found.split(",") if extra}
    assert extras - set(project["optional-dependencies"]) == set()


@PAGES
def test_videos_of_the_demo_exist(page):
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [text for line in lines if (text := references.demo_video_problem(line))] == []


def test_a_wrong_name_is_found_and_the_right_one_is_said():
    assert "did you mean 'extract'" in references.command_problems("extrct clip")[0].lower()
    assert "--out" in references.command_problems("extract clip videos --ot features")[0]
    assert "n_ctx" in (references.parameter_problem("train.n_ctxx") or "")
    assert references.parameter_problem("train.tempme_stop.dataset.kind") is None
    assert references.path_problem("pipeline_lib/video/reader.py") is None
    assert references.path_problem("data/models/coop/coop_best.safetensors") is None
    assert references.path_problem("pipeline_lib/video/no_such_reader.py")
    assert references.expanded("a/{b,c}.{d,e}") == ["a/b.d", "a/b.e", "a/c.d", "a/c.e"]


def test_commands_are_read_as_a_shell_reads_them():
    lines = ("clipline a 'b # c' # why", "# nothing", "x \\", "  --y 1   # z",
             "for i in 1 2; do", "  echo $i", "done")  # fmt: skip
    assert commands(Block("p.md", 1, "bash", "\n".join(lines))) == [
        "clipline a 'b # c'", "x --y 1", "for i in 1 2; do\n  echo $i\ndone"
    ]  # fmt: skip

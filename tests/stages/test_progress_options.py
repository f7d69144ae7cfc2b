"""`--progress` and `--quiet` stand anywhere on the command line of every command."""

import json
import sys

import pytest

from stages._progress_options import progress_mode, take_progress_options
from tests.stages.test_commands import clipline


def test_a_mode_that_does_not_exist_is_named(tmp_path):
    done = clipline("summary", "--progress", "jsn", cwd=tmp_path)
    assert done.returncode == 2
    assert "--progress jsn: it is one of auto, bar, log, json, quiet." in done.stderr
    assert "'json'" in done.stderr


def test_a_mode_is_missing(tmp_path):
    done = clipline("summary", "--progress", cwd=tmp_path)
    assert done.returncode == 2
    assert "--progress" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("before", [True, False])
def test_errors_are_json_for_a_program(tmp_path, before):
    asked = ["--progress", "json"]
    words = ["extract", "clip", "no_such_folder", "--out", "o"]
    done = clipline(*(asked + words if before else words + asked), cwd=tmp_path)
    assert done.returncode == 2
    told = json.loads(done.stderr)
    assert told["event"] == "error"
    assert "no_such_folder" in told["message"]


def test_what_follows_two_dashes_is_meant_as_it_stands(monkeypatch):
    monkeypatch.setenv("CLIPLINE_PROGRESS", "auto")
    monkeypatch.setattr("sys.argv", ["clipline", "--progress", "log", "--", "--quiet"])
    take_progress_options()
    assert sys.argv == ["clipline", "--", "--quiet"]
    assert progress_mode() == "log"


def test_every_command_tells_of_it(tmp_path):
    for words in ([], ["extract"]):
        assert "--progress" in clipline(*words, "--help", cwd=tmp_path).stdout

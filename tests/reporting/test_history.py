import json
import os

import pytest

from pipeline_lib.reporting.history import earlier_version
from tests.reporting.made_up import commit, git


@pytest.fixture
def file(tmp_path):
    git(tmp_path, "init", "-q")
    path = tmp_path / "metrics" / "a.json"
    path.parent.mkdir()
    return path


def write(path, value):
    path.write_text(json.dumps({"value": value}))


def test_the_baseline_is_the_same_before_the_commit_after_it_and_in_a_clone(file, tmp_path):
    write(file, 1)
    first = commit(tmp_path, "one", "2026-03-01T12:00:00+00:00")
    write(file, 2)
    before = earlier_version(file)
    commit(tmp_path, "two", "2026-03-02T12:00:00+00:00")
    (tmp_path / "other").write_text("x")
    commit(tmp_path, "three")
    git(tmp_path, "clone", "-q", ".", "clone")
    assert before.tree == {"value": 1}
    assert (before.commit, before.date) == (first[:10], "2026-03-01")
    assert earlier_version(file) == before
    assert earlier_version(tmp_path / "clone/metrics/a.json") == before


def test_a_version_that_was_taken_back_is_no_baseline(file, tmp_path):
    for value in (1, 2, 1):
        write(file, value)
        commit(tmp_path, str(value))
    assert earlier_version(file).tree == {"value": 2}


def test_line_ends_of_a_checkout_are_no_change(file, tmp_path):
    file.write_bytes(b'{\n "value": 1}\n')
    commit(tmp_path, "one")
    file.write_bytes(b'{\r\n "value": 1}\r\n')
    assert earlier_version(file).note == "no earlier version"


def test_a_commit_that_deleted_the_file_is_passed_over(file, tmp_path):
    write(file, 1)
    commit(tmp_path, "one")
    file.unlink()
    commit(tmp_path, "gone")
    write(file, 2)
    assert earlier_version(file).tree == {"value": 1}


def test_files_that_git_does_not_know(file, tmp_path):
    write(file, 1)
    assert earlier_version(file).note == "no earlier version"  # not even a commit
    (tmp_path / "other").write_text("x")
    git(tmp_path, "add", "other")
    git(tmp_path, "commit", "-q", "-m", "other")
    assert earlier_version(file).note == "no earlier version"


def test_a_detached_head_has_a_history_too(file, tmp_path):
    for value in (1, 2):
        write(file, value)
        commit(tmp_path, str(value))
    git(tmp_path, "checkout", "-q", "--detach")
    assert earlier_version(file).tree == {"value": 1}


def test_a_shallow_clone_is_told(file, tmp_path):
    for value in (1, 2):
        write(file, value)
        commit(tmp_path, str(value))
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{tmp_path}", "clone")
    assert "this clone is shallow" in earlier_version(tmp_path / "clone/metrics/a.json").note


@pytest.mark.parametrize("content", ["not JSON", "[1]", "\xff"])
def test_an_old_version_that_holds_no_metrics_is_told(file, tmp_path, content):
    file.write_bytes(content.encode("latin-1"))
    made = commit(tmp_path, "one")
    write(file, 2)
    found = earlier_version(file)
    assert found.tree is None
    assert found.note == f"the version of 2026-03-01 ({made[:10]}) holds no readable metrics"


def test_folders_without_git(tmp_path, monkeypatch):
    write(tmp_path / "a.json", 1)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    found = earlier_version(tmp_path / "a.json")
    assert found.note == "no earlier version: this folder is in no git repository"
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    found = earlier_version(tmp_path / "a.json")
    assert found.note == "no earlier version: git is not installed"

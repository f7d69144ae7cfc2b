"""One small project that was run once, for all tests of this folder."""

import os

import pytest

from pipeline_lib.storage.turns import taking_turns
from tests.support.project import Project, checkout


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Project:
    """The small copy after one `dvc repro`, committed. For reading: tests run theirs in a copy."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # the workers share it, and the second waits for the first
    with taking_turns(base / "small"):
        project = Project(base / "small" / "project")
        done = base / "small" / "done"
        if not done.exists():
            checkout(project.folder)
            project.run("dvc", "repro")
            project.commit("first run")
            done.touch()
    return project


@pytest.fixture
def project(finished, tmp_path) -> Project:
    """A copy of the small project, with its cache, to do anything with."""
    return finished.copy(tmp_path / "project")

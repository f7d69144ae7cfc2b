"""What the tests of this folder share."""

import pytest


@pytest.fixture
def in_a_folder(tmp_path, monkeypatch):
    """An empty folder to work in, as a user's shell would be."""
    monkeypatch.chdir(tmp_path)

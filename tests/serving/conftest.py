import shutil

import pytest

from tests.serving.site import client, embedded, opened


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    place = tmp_path_factory.mktemp("served")
    embedded(place)
    return place


@pytest.fixture
def place(made, tmp_path):
    """A copy whose videos may be changed."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def page(made):
    with client(opened(made / "out")) as asking:
        yield asking


@pytest.fixture
def own_page(place):
    with client(opened(place / "out", videos=place / "videos")) as asking:
        yield asking

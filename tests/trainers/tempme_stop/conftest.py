import shutil

import pytest

from tests.trainers.tempme_stop.project import write_videos


@pytest.fixture(scope="session")
def videos(tmp_path_factory):
    return write_videos(tmp_path_factory.mktemp("videos")) / "data"


@pytest.fixture
def root(tmp_path, videos):
    """A folder with videos and captions of its own."""
    shutil.copytree(videos, tmp_path / "data")
    return tmp_path

import shutil

import pytest
import torch

from tests.trainers.tempme_stop.project import vit
from tests.trainers.videomamba_pretrain.project import write_videos


@pytest.fixture(scope="session")
def videos(tmp_path_factory):
    return write_videos(tmp_path_factory.mktemp("videos"))


@pytest.fixture
def root(tmp_path, videos):
    """A folder with videos of its own."""
    shutil.copytree(videos / "data", tmp_path / "data")
    return tmp_path


@pytest.fixture(scope="session")
def teacher(tmp_path_factory):
    """A CLIP of three blocks for pictures of 4 x 4 patches, with random weights."""
    return vit(tmp_path_factory.mktemp("teacher"))


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)

"""A video that is read a second time, for pictures that were not kept."""

import shutil

import numpy as np
import pytest
import torch

from pipeline_lib.errors import VideoError
from pipeline_lib.mining.embedding_cache import EmbeddingCache
from pipeline_lib.mining.spool import Spool
from pipeline_lib.mining.watching import Embedder, WatchedVideo
from pipeline_lib.runtime.lanes import Lanes
from tests.mining.number_backbone import NumberBackbone
from tests.mining.runs import FPS
from tests.support.video_files import constant_rate, read_number


@pytest.fixture
def watched(videos, tmp_path):
    """A copy of long.mp4 of which nothing was kept, and where it lies."""
    path = shutil.copy(videos / "train/a/long.mp4", tmp_path / "copy.mp4")
    backbone = NumberBackbone()
    (tmp_path / "spool").mkdir()
    with Lanes(torch.device("cpu"), 1) as lanes:
        embedder = Embedder(backbone, lanes, EmbeddingCache(None, backbone))
        spool = Spool(tmp_path / "spool", budget_bytes=0)
        times = np.arange(100) / FPS
        yield WatchedVideo(path, "sha", times, {0, 50, 99}, embedder, spool), path


def test_the_same_frames_are_read_again(watched):
    video, _ = watched
    found = {position: read_number(image) for position, image in video.pictures([99, 0, 50])}
    assert found == {0: 0, 50: 50, 99: 99}
    assert list(video.pictures([])) == []


def test_a_file_that_changed_meanwhile_is_refused(watched):
    video, path = watched
    constant_rate(path, 40, rate=10)  # at 2.04 s it shows what starts at 2.0 s
    with pytest.raises(VideoError, match=r"frame at 2\.04 s cannot be decoded a second time"):
        list(video.pictures([0, 51]))

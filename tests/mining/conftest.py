"""Videos for mining, and a look at how often they are opened."""

from contextlib import contextmanager

import pytest

from pipeline_lib.mining import watching
from tests.mining.runs import FPS
from tests.support.video_files import constant_rate, garbage


@pytest.fixture(scope="session")
def videos(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "videos"
    constant_rate(root / "train/a/long.mp4", 100, FPS)
    for n in range(1, 7):
        constant_rate(root / f"train/a/short{n}.mp4", n, FPS)
    garbage(root / "train/a/garbage.mp4")
    return root


@pytest.fixture
def opened(monkeypatch):
    """How many frames each pass over a video asked for."""
    asked = []

    class Counting:
        def __init__(self, video):
            self._video = video

        def at(self, times_s):
            asked.append(len(times_s))
            return self._video.at(times_s)

        def __getattr__(self, name):
            return getattr(self._video, name)

    @contextmanager
    def counting(path, **options):
        with open_video(path, **options) as video:
            yield Counting(video)

    open_video = watching.open_video
    monkeypatch.setattr(watching, "open_video", counting)
    return asked

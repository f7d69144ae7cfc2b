import numpy as np
import pytest

from pipeline_lib.errors import ConfigError, VideoError
from pipeline_lib.retrieval.dense import dense_record, windows
from pipeline_lib.retrieval.search import MomentOptions, Searcher
from pipeline_lib.retrieval.unified_config import UnifiedModelConfig
from tests.retrieval.number_model import NumberModel
from tests.support.video_files import constant_rate, garbage


@pytest.mark.parametrize(
    ("duration_s", "shown", "every_s", "count"),
    [
        (6.0, 150, 0.5, 1),
        (6.01, 151, 0.5, 2),
        (600.0, 15000, 0.5, 100),
        (1.0, 25, 0.001, 3),  # not more than the video has frames for
        (600.0, 1, 0.5, 1),
        (0.04, 1, 3600.0, 1),
    ],
)
def test_windows_of_twelve_frames(duration_s, shown, every_s, count):
    assert windows(duration_s, shown, 12, every_s) == count


def test_frames_lie_at_even_distances_over_the_whole_video(tmp_path):
    video = constant_rate(tmp_path / "a.mp4", 240)  # 9.6 s
    model = NumberModel(frames=12, clips=3)
    record = dense_record(video, model, every_s=0.2)
    assert record.source_index.tolist() == list(range(2, 240, 5))
    assert record.pts_s == pytest.approx(record.source_index / 25)
    assert record.clips == 4 * 3
    assert record.frames.shape == (48, model.dim)
    # The whole video and four windows, two in a forward pass.
    assert model.seen == [2, 2, 1]


def test_the_embedding_of_the_video_stays_that_of_the_whole(tmp_path):
    video = constant_rate(tmp_path / "a.mp4", 240)
    searcher = Searcher(NumberModel())
    whole, dense = searcher.record(video), searcher.record(video, 0.1)
    np.testing.assert_array_equal(whole.video, dense.video)
    assert len(whole.pts_s) < len(dense.pts_s)
    assert (whole.sha256, whole.fingerprint) == (dense.sha256, dense.fingerprint)


def test_a_short_video_is_one_window(tmp_path):
    video = constant_rate(tmp_path / "a.mp4", 30)
    model = NumberModel()
    searcher = Searcher(model)
    np.testing.assert_array_equal(searcher.record(video).frames, searcher.record(video, 0.5).frames)
    assert model.seen == [1, 1]


def test_a_short_event_in_a_long_video(tmp_path):
    """Twelve frames of the whole lie 33 apart; the event is the five around frame 100."""
    video = constant_rate(tmp_path / "a.mp4", 400)
    searcher = Searcher(NumberModel())
    [far] = searcher.in_video(video, "frame 100", MomentOptions(1, every_s=None)).moments
    [near] = searcher.in_video(video, "frame 100", MomentOptions(1, every_s=0.1)).moments
    assert abs(far.source_frame - 100) > 5
    assert abs(near.source_frame - 100) <= 2


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(VideoError, match="not a readable video"):
        dense_record(garbage(tmp_path / "x.mp4"), NumberModel(), 0.5)
    with pytest.raises(VideoError, match="no such file"):
        dense_record(tmp_path / "no.mp4", NumberModel(), 0.5)


def test_the_last_videos_are_remembered(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline_lib.retrieval.search._REMEMBERED", 30)
    videos = [constant_rate(tmp_path / f"{name}.mp4", 30) for name in "abc"]
    model = NumberModel()
    searcher = Searcher(model)
    for video in (*videos, videos[2], videos[1], videos[0]):
        searcher.record(video)
    assert len(model.seen) == 4


@pytest.mark.parametrize("every_s", [0, -1, float("nan"), float("inf")])
def test_distances_that_cannot_be_meant(every_s):
    with pytest.raises(ConfigError, match="seconds between two scored frames"):
        MomentOptions(every_s=every_s)


def test_a_configuration_says_frames_of_a_second():
    assert MomentOptions.of(UnifiedModelConfig()).every_s == 0.5
    fps = UnifiedModelConfig(video_fps=4.0)
    assert MomentOptions.of(fps).every_s == 0.25
    assert MomentOptions.of(fps, every_s=2.0).every_s == 2.0

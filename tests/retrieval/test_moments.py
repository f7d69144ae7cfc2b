from itertools import pairwise

import numpy as np
import pytest

from pipeline_lib.errors import DataError, VideoError
from pipeline_lib.retrieval.moments import find_moments, frame_scores
from pipeline_lib.retrieval.records import VideoRecord
from pipeline_lib.retrieval.search import MomentOptions, Searcher
from tests.retrieval.number_model import NumberModel, directions
from tests.support.video_files import constant_rate, garbage

QUERY = np.array([1, 0, 0], np.float32)


def record(scores, source_index=None, clips=1, duration_s=None):
    """A video whose frames have these cosines with the query."""
    scores = np.asarray(scores, np.float64)
    n = len(scores)
    duration_s = float(n) if duration_s is None else duration_s
    frames = np.stack([scores, np.sqrt(1 - scores**2), np.zeros(n)], axis=1).astype(np.float32)
    index = 10 * np.arange(n) + 5 if source_index is None else np.asarray(source_index)
    pts_s = (np.arange(n) + 0.5) * duration_s / n
    return VideoRecord(
        "x", "f", frames[0], frames, pts_s, index.astype(np.int64), duration_s, clips
    )


def moments(video, top_k=5, **options):
    scores = frame_scores(video, QUERY)
    return find_moments(video, scores, top_k, segments=options.pop("segments", 4), **options)


def test_a_planted_segment():
    scores = np.full(48, 0.1)
    scores[20:27] = [0.6, 0.8, 0.9, 0.95, 0.9, 0.8, 0.6]
    scores[5] = 0.3
    first, second, *_ = moments(record(scores, clips=12, duration_s=96.0), segments=32)
    assert first.source_frame == 10 * 23 + 5
    assert first.timestamp_s == 47.0
    assert first.score == pytest.approx(0.95, abs=1e-6)
    assert (first.start_s, first.end_s) == (40.0, 54.0)
    assert first.clip == 23 // 4
    assert first.segment == int(47 / 96 * 32)
    assert second.source_frame == 55


def test_neighbours_do_not_crowd_out_other_events():
    scores = [0.1, 0.9, 0.91, 0.9, 0.1, 0.1, 0.5, 0.1, 0.1]
    assert [moment.source_frame for moment in moments(record(scores), 2)] == [25, 65]


def test_slopes_only_fill_up():
    scores = [0.0, 0.1, 0.2, 0.3, 0.4, 0.0, 0.0, 0.05]
    assert [moment.source_frame for moment in moments(record(scores), 2)] == [45, 75]
    assert [moment.source_frame for moment in moments(record(scores), 3)] == [45, 25, 75]


def test_stretches_do_not_overlap():
    rng = np.random.default_rng(0)
    for _ in range(50):
        found = moments(record(rng.uniform(-1, 1, 24), clips=6), 24)
        spans = sorted((moment.start_s, moment.end_s) for moment in found)
        assert all(first[1] <= second[0] for first, second in pairwise(spans))
        assert all(one.start_s <= one.timestamp_s <= one.end_s for one in found)
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_repeated_frames_of_a_short_video_count_once():
    video = record([0.2, 0.2, 0.2, 0.9, 0.9, 0.9], [0, 0, 0, 1, 1, 1], duration_s=6.0)
    found = moments(video)
    assert [moment.source_frame for moment in found] == [1, 0]
    assert [(moment.start_s, moment.end_s) for moment in found] == [(3.0, 6.0), (0.0, 3.0)]


def test_one_frame_and_equal_scores():
    assert [moment.source_frame for moment in moments(record([0.3] * 4, [0] * 4))] == [0]
    assert [moment.source_frame for moment in moments(record([0.3] * 4), 2)] == [5, 15]


def test_threshold_and_labels():
    found = moments(record([0.1, 0.9, 0.1, 0.4]), threshold=0.3, segments=4)
    assert [(moment.source_frame, moment.segment) for moment in found] == [(15, 1), (35, 3)]
    assert moments(record([0.1, 0.2]), threshold=0.3) == []


def test_in_a_real_video(tmp_path):
    video = constant_rate(tmp_path / "a.mp4", 120)
    model = NumberModel(frames=24, clips=6)
    searcher = Searcher(model)
    found = searcher.in_video(video, "frame 77", MomentOptions(top_k=1, segments=12))
    [moment] = found.moments
    # 24 parts of 5 frames, of which the middle one is seen.
    assert moment.source_frame == 77
    assert moment.timestamp_s == pytest.approx(77 / 25)
    assert (moment.clip, moment.segment) == (15 // 4, 7)
    assert moment.start_s <= 77 / 25 <= moment.end_s
    assert found.record.source_index.tolist() == list(range(2, 120, 5))
    assert found.scores == pytest.approx(
        np.cos(np.radians(found.record.source_index - 77)), abs=1e-5
    )
    searcher.in_video(video, "frame 3", MomentOptions())
    assert model.seen == [1]  # decoded and embedded once
    result = found.as_dict()
    assert result["frames"] == [77]
    assert (result["status"], result["error"]) == ("success", None)


def test_what_cannot_be_answered(tmp_path):
    searcher, options = Searcher(NumberModel()), MomentOptions()
    with pytest.raises(VideoError, match="not a readable video"):
        searcher.in_video(garbage(tmp_path / "x.mp4"), "frame 1", options)
    with pytest.raises(DataError, match="empty"):
        searcher.in_video(constant_rate(tmp_path / "a.mp4", 5), " \t", options)
    for query, words in (
        ({"video_path": str(tmp_path / "no.mp4"), "query": "frame 1"}, "no such file"),
        ({"video": "x"}, "query is missing"),
        ({"video": 3, "query": "x"}, "video_path = 3: it has to be text"),
        ({"query": "x"}, "video_path is missing"),
        (5, "5 is no query"),
    ):
        answer = searcher.answer(query, options)
        assert answer["status"] == "failed"
        assert words in answer["error"]


def test_a_long_query_is_cut_with_a_warning(tmp_path, caplog):
    video = constant_rate(tmp_path / "a.mp4", 5)
    Searcher(NumberModel()).in_video(video, "frame 1 and many more words", MomentOptions())
    assert "reads 12 tokens of a query; the last 17 of" in caplog.text


def test_directions_are_those_of_the_model():
    assert frame_scores(record([0.5, -0.25]), QUERY).tolist() == [0.5, -0.25]
    assert directions([0, 90])[1][1] == 1


def test_an_event_that_fills_most_of_a_video_is_one_moment():
    scores = np.full(24, 0.1)
    scores[4:20] = [0.7, 0.75] * 8
    [first, *_] = moments(record(scores, duration_s=24.0))
    assert (first.start_s, first.end_s) == (4.0, 20.0)

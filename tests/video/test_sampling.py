"""Frames at even distances: which ones, of short and damaged videos too, and nothing invented."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.errors import DataError, VideoError
from pipeline_lib.video.reader import read_frames
from pipeline_lib.video.sampling import (
    Segment,
    sample_segment,
    sample_segments,
    sample_times,
    sample_video,
    segment_bounds,
    video_length_s,
)
from pipeline_lib.video.scaling import Resize, resize_image
from tests.support.video_files import constant_rate, garbage, read_number, textured, write_video

RESIZE = Resize(32, crop=32)
# Scaling keeps the cells of the numbers: the pictures are as large as they are stored.
WHOLE = Resize(96)


def test_times_are_the_middles_of_equal_parts():
    assert sample_times(4, 2.0, 4.0).tolist() == [2.25, 2.75, 3.25, 3.75]
    assert sample_times(1, 0.0, 3.0).tolist() == [1.5]
    for n, end_s in ((0, 1.0), (3, 0.0), (3, float("nan"))):
        with pytest.raises(ValueError, match="times between"):
            sample_times(n, 0.0, end_s)


@given(
    st.integers(1, 500),
    st.floats(0, 1e5, allow_subnormal=False),
    st.floats(1e-3, 1e5, allow_subnormal=False),
)
def test_times_ascend_inside_the_segment(n, start_s, length_s):
    end_s = start_s + length_s
    times = sample_times(n, start_s, end_s)
    assert times.shape == (n,)
    assert times.dtype == np.float64
    assert start_s <= times[0]
    assert times[-1] <= end_s
    assert (np.diff(times) >= 0).all()


def test_frames_are_those_shown_at_the_times(tmp_path):
    path = constant_rate(tmp_path / "a.mp4", 100)  # 4 s
    sampled = sample_video(path, 8, WHOLE)
    assert sampled.source_index.tolist() == [6, 18, 31, 43, 56, 68, 81, 93]
    assert [read_number(frame) for frame in sampled.frames] == sampled.source_index.tolist()
    np.testing.assert_allclose(sampled.pts_s, sampled.source_index / 25)
    assert sampled.duration_s == pytest.approx(4.0)
    assert sampled.frames.dtype == np.uint8
    assert sampled.source_index.dtype == np.int64


def test_a_segment_keeps_the_numbers_of_the_video(tmp_path):
    path = write_video(tmp_path / "a.mkv", [5000 + 40 * n for n in range(100)])
    sampled = sample_video(path, 4, WHOLE, start_s=2.0, end_s=3.0)
    assert sampled.source_index.tolist() == [53, 59, 65, 71]
    assert [read_number(frame) for frame in sampled.frames] == [53, 59, 65, 71]
    assert sampled.duration_s == pytest.approx(4.0)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_a_short_video_repeats_frames(tmp_path, frames):
    path = constant_rate(tmp_path / "a.mp4", frames)
    sampled = sample_video(path, 12, RESIZE)
    assert sampled.frames.shape == (12, 32, 32, 3)
    assert sampled.source_index.tolist() == [(2 * k + 1) * frames // 24 for k in range(12)]


def test_pixels_are_scaled_as_elsewhere(tmp_path):
    path = constant_rate(tmp_path / "a.mp4", 10, pixel_format="yuv444p")
    sampled = sample_video(path, 3, RESIZE)
    full = read_frames(path, sampled.pts_s).frames
    scaled = np.stack([resize_image(frame, RESIZE) for frame in full])
    assert np.abs(scaled.astype(int) - sampled.frames).max() <= 3


def test_segments_of_one_pass_are_what_each_alone_gives(tmp_path):
    path = textured(tmp_path / "a.mp4", 150, size=(320, 240), gop=30)  # 5 s
    bounds = [(3.0, 4.5), (0.0, 5.0), (0.2, 0.4), (3.5, 5.0), (0.0, 5.0)]
    together = dict(sample_segments(path, bounds, 6, RESIZE, duration_s=5.0))
    assert sorted(together) == [0, 1, 2, 3, 4]
    for number, (start_s, end_s) in enumerate(bounds):
        alone = sample_video(path, 6, RESIZE, start_s=start_s, end_s=end_s)
        np.testing.assert_array_equal(together[number].frames, alone.frames)
        np.testing.assert_array_equal(together[number].source_index, alone.source_index)
        np.testing.assert_array_equal(together[number].pts_s, alone.pts_s)


@given(
    st.lists(
        st.tuples(st.integers(0, 19), st.integers(1, 20)).map(lambda t: (t[0], t[0] + t[1])),
        min_size=1, max_size=5,
    ),
    st.integers(1, 15),
)  # fmt: skip
def test_any_segments(tmp_path_factory, bounds, n):
    path = tmp_path_factory.getbasetemp() / "any.mp4"
    if not path.exists():
        constant_rate(path, 50)
    within = [(a / 10, min(b / 10, 2.0)) for a, b in bounds]
    for number, sampled in sample_segments(path, within, n, RESIZE, duration_s=2.0):
        start_s, end_s = within[number]
        expected = np.floor((sample_times(n, start_s, end_s) + 1e-4) * 25).astype(int)
        assert sampled.source_index.tolist() == expected.tolist()
        assert sampled.frames.shape == (n, 32, 32, 3)


@pytest.mark.parametrize(
    ("segment", "says"),
    [
        (Segment(4.0), r"start_s = 4, but the video ends at 4 s"),
        (Segment(1.0, 4.2), r"end_s = 4.2, but the video ends at 4 s"),
        (Segment(2.0, 2.0), r"end_s = 2 is not after start_s = 2"),
        (Segment(-0.5, 2.0), r"start_s = -0.5 is before the first frame"),
        (Segment(float("nan")), "before the first frame"),
        (Segment(0.0, float("nan")), "end_s = nan"),
    ],
)
def test_a_segment_outside_the_video_names_the_item(tmp_path, segment, says):
    path = constant_rate(tmp_path / "a.mp4", 100)
    named = Segment(segment.start_s, segment.end_s, name="item_7")
    with pytest.raises(DataError, match=rf"a\.mp4: item_7: .*{says}"):
        sample_segment(path, named, 4, RESIZE)


def test_rounded_ends_and_limits(tmp_path):
    path = tmp_path / "a.mp4"
    assert segment_bounds(path, Segment(1.0, 4.04), 4.0) == (1.0, 4.0)
    assert segment_bounds(path, Segment(), 4.0) == (0.0, 4.0)
    assert segment_bounds(path, Segment(at_most_s=30.0), 40.0) == (0.0, 30.0)
    assert segment_bounds(path, Segment(at_most_s=30.0), 4.0) == (0.0, 4.0)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path, "missing"),
        (lambda path: (path.write_bytes(b""), path)[1], "empty"),
        (garbage, "unreadable"),
    ],
)
def test_what_is_no_video_is_the_readers_error(tmp_path, make, reason):
    with pytest.raises(VideoError) as caught:
        sample_video(make(tmp_path / "a.mp4"), 4, RESIZE)
    assert caught.value.reason == reason


def test_a_damaged_video_is_refused_unless_asked_for(tmp_path):
    path = textured(tmp_path / "a.mkv", 150, size=(320, 240), gop=30)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(VideoError) as caught:
        sample_video(path, 12, RESIZE)
    assert caught.value.reason == "truncated"
    sampled = sample_video(path, 12, RESIZE, tolerant=True)
    assert sampled.source_index.max() < 150
    assert (np.diff(sampled.source_index) >= 0).all()


def test_a_container_without_times_is_sampled_too(tmp_path):
    path = constant_rate(tmp_path / "a.avi", 50, codec="mpeg4")
    assert video_length_s(path) == pytest.approx(2.0)
    assert sample_video(path, 5, RESIZE).source_index.tolist() == [5, 15, 25, 35, 45]

"""Moments counted by hand: rows, clips by the clock, clips by frames, clips of a clip network."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.errors import VideoError
from pipeline_lib.extraction.collect import Collector
from pipeline_lib.extraction.schedule import (
    FrameTimes,
    Grid,
    Stream,
    clip_bounds,
    moments,
    spread,
)
from pipeline_lib.video.scaling import Resize

RESIZE = Resize(32)
CLOCK = Grid(every_s=1.0, clip_len_s=2.0, fps=2.0)
EVERY_FRAME = Grid(every_s=1.0, clip_len_s=2.0, fps=None)
BY_FRAMES = Grid(every_s=1.0, clip_len_s=2.0, fps=None, boundaries="frame_count")
# 30 fps for 4 s, 10 fps for 4 s, 15 fps for 4 s: 120 + 40 + 60 frames.
VARIABLE = np.concatenate(
    [np.arange(120) / 30, 4 + np.arange(40) / 10, 8 + np.arange(60) / 15]
).astype(np.float64)


def steady(count: int, fps: Fraction | int) -> FrameTimes:
    return FrameTimes(np.array([float(n / Fraction(fps)) for n in range(count)]), float(fps))


def until(end_s: float, stream: Stream, frames: FrameTimes | None = None):
    """The moments of a video that ends at ``end_s``."""
    return list(itertools.takewhile(lambda m: m.time_s < end_s - 1e-6, moments(stream, frames)))


def clips_of(found) -> dict[int, list[float]]:
    clips: dict[int, list[float]] = {}
    for moment in found:
        if moment.clip is not None:
            clips.setdefault(moment.clip, []).append(round(moment.time_s, 4))
    return clips


def collected(stream: Stream, duration_s: float, frames: FrameTimes | None = None, keep=True):
    """What a network that sees nothing makes of a video: rows and clips."""
    collector, samples = Collector(stream, dim=1), 0
    last = 0
    for moment in until(duration_s, stream, frames):
        samples += len(collector.frame(np.zeros((1, 1, 3), np.uint8), moment.row, moment.clip))
        last = max(last, (moment.clip or 0) + 1)
    samples += len(collector.end())
    for _ in range(samples):
        collector.add(np.ones(1, np.float32))
    facts = {"duration_s": duration_s}
    if stream.grid.boundaries == "frame_count":
        facts["clip_bounds"] = clip_bounds(stream.grid, frames, last)
    return collector, collector.clips(facts, keep)


def test_a_moment_on_both_grids_comes_once():
    found = until(2.5, Stream(RESIZE, CLOCK))
    assert [(m.time_s, m.row, m.clip) for m in found] == [
        (0.0, True, 0),
        (0.5, False, 0),
        (1.0, True, 0),
        (1.5, False, 0),
        (2.0, True, 1),
    ]


def test_grids_that_meet_only_in_their_last_bit():
    grid = Grid(every_s=0.1, clip_len_s=1.0, fps=10.0)
    found = until(100.0, Stream(RESIZE, grid))
    assert len(found) == 1000
    assert all(m.row and m.clip == n // 10 for n, m in enumerate(found))


@pytest.mark.parametrize(("every_s", "rows"), [(1.0, 3), (0.5, 6), (0.4, 8), (2.917, 1)])
def test_rows_are_as_many_as_spacings_begin(every_s, rows):
    grid = Grid(every_s=every_s, clip_len_s=2.0, fps=1.0)
    found = until(2.917, Stream(RESIZE, grid))
    assert sum(m.row for m in found) == rows


@pytest.mark.parametrize(
    ("clip_len_s", "fps", "per_clip"), [(2.0, 2.0, 4), (2.0, 0.1, 1), (1.0, 2.5, 3), (0.1, 30, 3)]
)
def test_samples_of_a_clip_start_with_it(clip_len_s, fps, per_clip):
    grid = Grid(every_s=1000.0, clip_len_s=clip_len_s, fps=fps)
    clips = clips_of(until(3 * clip_len_s, Stream(RESIZE, grid)))
    assert list(clips) == [0, 1, 2]
    for clip, times in clips.items():
        expected = [clip * clip_len_s + n / fps for n in range(per_clip)]
        assert times == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("grid", [CLOCK, EVERY_FRAME])
def test_clips_by_the_clock_stay_on_it_at_a_variable_rate(grid):
    frames = FrameTimes(VARIABLE, 18.487)
    _, clips = collected(Stream(RESIZE, grid), 12.0, frames)
    assert clips.start_s.tolist() == [0, 2, 4, 6, 8, 10]
    assert clips.end_s.tolist() == [2, 4, 6, 8, 10, 12]
    assert clips.valid.tolist() == [1] * 6
    expected = [4] * 6 if grid is CLOCK else [60, 60, 20, 20, 30, 30]
    assert clips.n_frames.tolist() == expected


def test_clips_by_frames_drift_at_a_variable_rate():
    """int(18.487 * 2) = 36 frames a clip, as older extractors cut: 220 // 36 = 6 clips."""
    frames = FrameTimes(VARIABLE, 18.487)
    _, clips = collected(Stream(RESIZE, BY_FRAMES), 12.0, frames)
    assert clips.start_s.tolist() == pytest.approx([0, 1.2, 2.4, 3.6, 6.4, 9.3333], abs=1e-4)
    assert clips.end_s.tolist() == pytest.approx([1.2, 2.4, 3.6, 6.4, 9.3333, 11.7333], abs=1e-4)
    assert clips.n_frames.tolist() == [36] * 6
    assert clips.valid.tolist() == [1] * 6


def test_an_hour_of_ntsc_has_1800_clips_by_the_clock_and_1828_by_frames():
    rate = Fraction(30000, 1001)
    frames = steady(int(3600 * rate), rate)
    duration_s = len(frames.pts_s) / float(rate)
    few = Grid(every_s=1.0, clip_len_s=2.0, fps=0.5)
    _, clips = collected(Stream(RESIZE, few), duration_s)
    assert len(clips.start_s) == 1800
    assert clips.start_s[-1] == 3598.0
    by_frames = moments(Stream(RESIZE, BY_FRAMES), frames)
    last = max(m.clip for m in itertools.takewhile(lambda m: m.time_s < duration_s, by_frames)
               if m.clip is not None)  # fmt: skip
    assert last + 1 == 1828
    bounds = clip_bounds(BY_FRAMES, frames, 1828)
    # 59 frames are 1.9686 s: the last clip starts 56 s before where a clock has it.
    assert bounds[-1][0] == pytest.approx(1827 * 59 / float(rate))
    assert 1827 * 2 - bounds[-1][0] == pytest.approx(57.3, abs=0.1)


@pytest.mark.parametrize(
    ("frames", "by_clock", "valid", "by_frames"),
    [(30, 1, [0.6], 0), (72, 2, [1.0, 0.44], 1), (50, 1, [1.0], 1), (51, 2, [1.0, 0.02], 1)],
)
def test_videos_shorter_than_their_clips(frames, by_clock, valid, by_frames):
    """At 25 frames a second: 1.2 s, 2.88 s, 2 s, 2.04 s."""
    times = steady(frames, 25)
    collector, clips = collected(Stream(RESIZE, CLOCK), frames / 25, times)
    assert len(clips.features) == by_clock
    assert clips.valid.tolist() == pytest.approx(valid)
    assert len(collector.rows()) == -(-frames // 25)
    _, old = collected(Stream(RESIZE, BY_FRAMES), frames / 25, times)
    assert len(old.features) == by_frames
    assert old.features.shape == (by_frames, 1)
    _, whole = collected(Stream(RESIZE, CLOCK), frames / 25, times, keep=False)
    assert len(whole.features) == sum(share == 1 for share in valid)


def test_fps_null_takes_every_frame_of_a_clip():
    frames = steady(55, 25)
    clips = clips_of(until(2.2, Stream(RESIZE, EVERY_FRAME), frames))
    assert clips[0] == pytest.approx(frames.pts_s[:50].tolist(), abs=1e-4)
    assert clips[1] == pytest.approx(frames.pts_s[50:].tolist(), abs=1e-4)


def test_a_gap_longer_than_a_clip_repeats_the_frame_that_is_shown():
    frames = FrameTimes(np.array([0.0, 0.5, 7.0, 7.5]), 1.0)
    every = clips_of(until(8.0, Stream(RESIZE, Grid(1000.0, 2.0, None)), frames))
    assert every == {0: [0, 0.5], 1: [2], 2: [4], 3: [7, 7.5]}
    two = clips_of(until(8.0, Stream(RESIZE, Grid(1000.0, 2.0, 1.0)), frames))
    assert two == {n: [2 * n, 2 * n + 1] for n in range(4)}


def test_indices_of_a_clip_network():
    assert spread(50, 32).tolist() == [
        0, 1, 3, 4, 6, 7, 9, 11, 12, 14, 15, 17, 18, 20, 22, 23,
        25, 26, 28, 30, 31, 33, 34, 36, 37, 39, 41, 42, 44, 45, 47, 49,
    ]  # fmt: skip
    assert spread(1, 4).tolist() == [0, 0, 0, 0]
    few = spread(20, 32).tolist()
    assert (few[0], few[-1], len(few), set(few)) == (0, 19, 32, set(range(20)))
    assert few == sorted(few)


def test_a_clip_network_sees_that_many_frames_of_each_clip():
    frames = steady(75, 25)
    stream = Stream(RESIZE, EVERY_FRAME, frames_per_clip=32)
    found = until(3.0, stream, frames)
    assert not any(m.row for m in found)
    clips = clips_of(found)
    assert clips[0] == pytest.approx((spread(50, 32) / 25).tolist(), abs=1e-4)
    assert clips[1] == pytest.approx((2 + spread(25, 32) / 25).tolist(), abs=1e-4)
    collector, made = collected(stream, 3.0, frames)
    assert not collector.has_rows
    assert collector.rows() is None
    assert made.features.shape == (2, 1)
    assert made.n_frames.tolist() == [32, 32]
    assert made.valid.tolist() == [1.0, 0.5]


def test_a_clip_network_gets_its_number_of_frames_of_a_video_that_ends_early():
    collector = Collector(Stream(RESIZE, EVERY_FRAME, frames_per_clip=8), dim=1)
    for number in range(3):
        assert collector.frame(np.full((1, 1, 3), number, np.uint8), False, 0) == []
    [sample] = collector.end()
    assert sample[:, 0, 0, 0].tolist() == [0, 0, 0, 0, 1, 1, 1, 2]


def test_clips_by_frames_need_a_frame_rate():
    for fps, words in ((None, "declares no frame rate"), (0.4, "has no frame")):
        frames = FrameTimes(np.array([0.0, 1.0]), fps)
        with pytest.raises(VideoError, match=words) as caught:
            list(moments(Stream(RESIZE, BY_FRAMES), frames))
        assert caught.value.reason == "no_frame_rate"


@given(
    every_s=st.floats(0.05, 5),
    clip_len_s=st.floats(0.05, 5),
    fps=st.floats(0.1, 60),
    duration_s=st.floats(0.05, 30),
)
def test_moments_ascend_and_count(every_s, clip_len_s, fps, duration_s):
    found = until(duration_s, Stream(RESIZE, Grid(every_s, clip_len_s, fps)))
    times = [m.time_s for m in found]
    assert times == sorted(set(times))
    rows = [m.time_s for m in found if m.row]
    assert rows == pytest.approx([k * every_s for k in range(len(rows))], abs=1e-6)
    assert abs(len(rows) - max(1, -(-duration_s // every_s))) <= 1
    clips = clips_of(found)
    assert list(clips) == list(range(len(clips)))

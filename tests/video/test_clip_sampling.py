"""Which frames a clip consists of: tables worked out by hand, and what always holds."""

import numpy as np
import pytest

from pipeline_lib.video.clip_sampling import ClipSampling, trimmed_windows, window_frames

RULES = ["sparse", "dense", "segments"]
COUNTS = [1, 3, 8, 9, 31, 32, 33, 300]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("segment", "segments", "expected"),
    [
        (0, 4, [7, 44, 82, 119, 157, 194, 231, 269]),
        (0, 1, [18, 55, 93, 130, 168, 205, 242, 280]),
    ],
)
def test_sparse_clips_of_300_frames(segment, segments, expected):
    assert ClipSampling("sparse", 8).test(300, segment, segments).tolist() == expected


def test_sparse_clips_move_on_with_the_segment():
    sampling = ClipSampling("sparse", 4)
    # Parts of 10 frames, and 10 / 5 further on for each of four clips.
    firsts = [sampling.test(41, k, 4).tolist() for k in range(4)]
    assert firsts == [[2, 12, 22, 32], [4, 14, 24, 34], [6, 16, 26, 36], [8, 18, 28, 38]]


def test_sparse_draws_reach_both_ends_of_every_part():
    sampling = ClipSampling("sparse", 4)
    drawn = np.stack([sampling.draw(41, rng(seed)) for seed in range(400)])
    assert drawn.min(axis=0).tolist() == [0, 10, 20, 30]
    assert drawn.max(axis=0).tolist() == [10, 20, 30, 40]


def test_dense_clips():
    sampling = ClipSampling("dense", 4, rate=5)
    # A run takes 20 of 50 frames, so starts lie between 0 and 30.
    assert sampling.test(50).tolist() == [15, 20, 25, 30]
    assert [sampling.test(50, k, 3)[0] for k in range(3)] == [0, 15, 30]
    starts = {int(sampling.draw(50, rng(seed))[0]) for seed in range(400)}
    assert starts == set(range(31))
    # Where a video is too short, its last frame repeats.
    assert sampling.test(12).tolist() == [0, 5, 10, 11]


def test_segments_as_of_something_something():
    sampling = ClipSampling("segments", 4)
    assert sampling.test(40).tolist() == [5, 15, 25, 35]
    # The two clips of the test are the even and the odd ones of twice as many frames.
    assert sampling.test(40, 0, 2).tolist() == [0, 10, 20, 30]
    assert sampling.test(40, 1, 2).tolist() == [5, 15, 25, 35]
    drawn = np.stack([sampling.draw(43, rng(seed)) for seed in range(400)])
    assert drawn.min(axis=0).tolist() == [0, 10, 20, 30]
    assert drawn.max(axis=0).tolist() == [9, 19, 29, 39]
    assert sampling.draw(3, rng()).tolist() == [0, 0, 1, 2]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("count", COUNTS)
def test_clips_ascend_inside_the_video(rule, count):
    sampling = ClipSampling(rule, 8, rate=4)
    clips = [sampling.test(count, k, segments) for segments in (1, 2, 5) for k in range(segments)]
    clips += [sampling.draw(count, rng(seed)) for seed in range(20)]
    for draws in (1, 3):
        kept = sampling.candidates(count, draws)
        assert kept.shape == (8, draws)
        drawn = [sampling.draw_candidates(kept, rng(seed)) for seed in range(20)]
        assert all(set(clip) <= set(kept.ravel()) for clip in drawn)
        clips += drawn
    for clip in clips:
        assert clip.dtype == np.int64
        assert clip.shape == (8,)
        assert clip[0] >= 0
        assert clip[-1] < count
        assert (np.diff(clip) >= 0).all()


def test_candidates_are_spread_over_each_part():
    sparse = ClipSampling("sparse", 2).candidates(21, 3)
    # Eleven choices of either part, 0 … 10 and 10 … 20.
    assert sparse.tolist() == [[1, 5, 9], [11, 15, 19]]
    dense = ClipSampling("dense", 2, rate=3).candidates(17, 2)
    assert dense.T.tolist() == [[3, 6], [9, 12]]


@pytest.mark.parametrize(
    ("duration_s", "expected"),
    [
        (59, [(0, 59)]),
        (60, [(0, 60), (16, 60)]),
        (75, [(0, 60), (16, 75), (32, 75)]),
        # The last one has exactly half a minute.
        (78, [(0, 60), (16, 76), (32, 78), (48, 78)]),
        (134, [(0, 60), (16, 76), (32, 92), (48, 108), (64, 124), (80, 134), (96, 134)]),
    ],
)
def test_windows_of_a_minute(duration_s, expected):
    assert trimmed_windows(duration_s, 60, 16) == expected


def test_frames_of_a_window():
    times_s = np.arange(300) / 25
    assert window_frames(times_s, 0, None) == (0, 300)
    # Frame int(2 * 25) to frame int(6 * 25), both included.
    assert window_frames(times_s, 2, 6) == (50, 101)
    assert window_frames(times_s, 10, 70) == (250, 50)
    film = np.arange(3000) * 1001 / 24000
    # 383 and 1822, since 16 s are 383.6 frames and 76 s are 1822.2.
    assert window_frames(film, 16, 76) == (383, 1440)


def test_what_cannot_be_sampled():
    with pytest.raises(ValueError, match="No clip of 0 frames"):
        ClipSampling("sparse", 8).test(0)
    with pytest.raises(ValueError, match="Clip 2 of 2"):
        ClipSampling("sparse", 8).test(10, 2, 2)

"""Which frame is shown at time t: exact, for every kind of clock."""

import re
from fractions import Fraction

import cv2
import numpy as np
import pytest

from pipeline_lib.errors import ConfigError, DataError, VideoError
from pipeline_lib.video.probe import timestamps
from pipeline_lib.video.reader import open_video, read_frames
from pipeline_lib.video.scaling import Resize, resize_image
from tests.support.video_files import (
    constant_rate,
    garbage,
    numbered_frame,
    read_number,
    write_video,
)

VFR_MS = [0, 33, 66, 500, 510, 900, 2000, 2100]


def shown_at(pts_s, time):
    return int(np.searchsorted(pts_s, time + 1e-4, side="right")) - 1


@pytest.mark.parametrize(
    ("name", "pts_ms", "options"),
    [
        ("vfr.mp4", VFR_MS, {}),
        ("vfr.mkv", VFR_MS, {}),
        ("offset.mkv", [5000 + t for t in VFR_MS], {}),
        ("vp9.webm", VFR_MS, {"codec": "libvpx-vp9"}),
        ("hevc10.mp4", VFR_MS, {"codec": "libx265", "pixel_format": "yuv420p10le"}),
        ("full_chroma.mp4", VFR_MS, {"pixel_format": "yuv444p"}),
        ("one.mp4", [0], {}),
    ],
)
def test_the_frame_at_t_is_the_last_one_not_after_t(tmp_path, name, pts_ms, options):
    path = write_video(tmp_path / name, pts_ms, **options)
    pts_s = (np.array(pts_ms) - pts_ms[0]) / 1000
    times = [1.99, 0.0, 0.0329, 0.033, 0.5, 0.5, 2.05, 99.0]
    frames = read_frames(path, times)
    expected = [shown_at(pts_s, time) for time in times]
    assert [read_number(frame) for frame in frames.frames] == expected
    assert frames.source_index.tolist() == expected
    np.testing.assert_allclose(frames.pts_s, pts_s[expected], atol=1e-3)
    assert frames.errors == 0
    assert frames.frames.dtype == np.uint8
    assert frames.pts_s.dtype == np.float64
    assert frames.source_index.dtype == np.int64


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(24000, 1001), Fraction(24)])
def test_ntsc_rates_do_not_drift(tmp_path, rate):
    path = constant_rate(tmp_path / "ntsc.mp4", 300, rate)
    frames = read_frames(path, every_s=0.5)
    pts_s = np.arange(300) / float(rate)
    times = np.arange(len(frames)) * 0.5
    assert len(frames) == int(np.ceil(300 / float(rate) / 0.5 - 1e-6))
    assert [read_number(f) for f in frames.frames] == [shown_at(pts_s, t) for t in times]


@pytest.mark.parametrize("suffix", ["avi", "ts"])
def test_containers_without_exact_clocks(tmp_path, suffix):
    codec = "mpeg4" if suffix == "avi" else "libx264"
    path = constant_rate(tmp_path / f"a.{suffix}", 50, 25, codec=codec)
    frames = read_frames(path, every_s=0.4)
    assert [read_number(frame) for frame in frames.frames] == [0, 10, 20, 30, 40]


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_rotation_is_applied_as_players_do(tmp_path, rotation):
    path = constant_rate(tmp_path / "r.mp4", 3, rotation=rotation)
    ours = read_frames(path, [0.0]).frames[0]
    _, theirs = cv2.VideoCapture(str(path)).read()
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs[..., ::-1]).mean() < 1


def test_colours_and_full_range_survive(tmp_path):
    for pixel_format in ("yuv420p", "yuvj420p"):
        path = constant_rate(tmp_path / f"{pixel_format}.mp4", 2, pixel_format=pixel_format)
        frame = read_frames(path, [0.0]).frames[0].astype(int)
        assert np.abs(frame[56, 24] - (255, 0, 0)).max() <= 3
        assert np.abs(frame[80, 200] - 128).max() <= 3


@pytest.mark.parametrize(("damage", "share"), [(8, 0.8), (60, 0.2)])
def test_corrupt_packets_are_skipped_and_counted(tmp_path, damage, share):
    path = constant_rate(tmp_path / "a.mkv", 200, 25, gop=10)
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for position in rng.integers(len(content) // 4, len(content) - 200, damage):
        content[position] ^= 0xFF
    path.write_bytes(content)
    frames = read_frames(path, every_s=0.2)
    assert frames.errors > 0
    assert len(frames) >= 30
    # What is left keeps its own time; a frame whose reference is lost shows an older number.
    right = [
        read_number(frame) == round(25 * time)
        for frame, time in zip(frames.frames, frames.pts_s, strict=True)
    ]
    assert right[0]
    assert sum(right) >= share * len(right)


def test_a_truncated_tail_gives_what_is_there(tmp_path):
    path = constant_rate(tmp_path / "a.ts", 100, 25)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    frames = read_frames(path, every_s=0.4)
    assert 4 <= len(frames) < 10
    assert [read_number(frame) for frame in frames.frames] == [10 * k for k in range(len(frames))]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda p: None, "missing"),
        (lambda p: p.touch(), "empty"),
        (garbage, "unreadable"),
        (lambda p: p.mkdir(), "unreadable"),
        (lambda p: p.write_text("<html>not found</html>"), "unreadable"),
        (lambda p: p.symlink_to(p.parent / "gone.mp4"), "missing"),
    ],
)
def test_bad_files_say_why(tmp_path, make, reason):
    path = tmp_path / "bad.mp4"
    make(path)
    with pytest.raises(VideoError, match=re.escape(str(path))) as caught:
        read_frames(path, every_s=1.0)
    assert caught.value.reason == reason


def test_audio_only_has_no_video_stream(tmp_path):
    import av

    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts = 16000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(VideoError, match="no video track") as caught:
        read_frames(path, every_s=1.0)
    assert caught.value.reason == "no_video_stream"


def test_wrong_requests_are_refused(tmp_path):
    path = constant_rate(tmp_path / "a.mp4", 5)
    with pytest.raises(DataError, match=r"no frame is shown at -0\.5 s"):
        read_frames(path, [0.0, -0.5])
    with pytest.raises(DataError, match="nan"):
        read_frames(path, [float("nan")])
    with pytest.raises(ValueError, match="exactly one"):
        read_frames(path)
    with pytest.raises(ValueError, match="positive"):
        read_frames(path, every_s=0.0)
    with pytest.raises(ConfigError, match="Unknown decoder 'pyavv'"):
        read_frames(path, every_s=1.0, decoder="pyavv")


def test_no_times_give_no_frames(tmp_path):
    assert len(read_frames(constant_rate(tmp_path / "a.mp4", 5), [])) == 0


def test_duration_comes_from_the_frames(tmp_path):
    with open_video(write_video(tmp_path / "v.mkv", VFR_MS, rate=25)) as video:
        list(video.until_end([0.0]))
    assert video.frames == len(VFR_MS)
    assert video.duration_s == pytest.approx(2.14, abs=2e-3)
    assert video.average_fps == pytest.approx(8 / 2.14, rel=1e-2)


def test_timestamps_without_decoding_equal_the_decoded_ones(tmp_path):
    for name in ("v.mp4", "v.mkv"):
        path = write_video(tmp_path / name, [700 + t for t in VFR_MS])
        np.testing.assert_allclose(timestamps(path), np.array(VFR_MS) / 1000, atol=1e-3)
    avi = constant_rate(tmp_path / "v.avi", 20, 25, codec="mpeg4")
    np.testing.assert_allclose(timestamps(avi), np.arange(20) / 25, atol=1e-6)


def test_resizing_while_decoding_matches_resizing_the_picture(tmp_path):
    path = constant_rate(tmp_path / "a.mp4", 3, size=(256, 96))
    resize = Resize(48)
    with open_video(path) as video:
        small = next(video.at([0.0])).rgb(resize)
    assert small.shape == (48, 128, 3)
    full = resize_image(numbered_frame(0), resize)
    assert np.abs(small.astype(int) - full.astype(int)).mean() < 2
    assert Resize(32, "squash").target(256, 96) == (32, 32)
    assert Resize(224).target(405, 720) == (224, 398)


def test_memory_does_not_grow_with_the_length_of_the_video(tmp_path):
    tracemalloc = pytest.importorskip("tracemalloc")
    peaks = []
    for length in (100, 800):
        path = constant_rate(tmp_path / f"{length}.mp4", length, gop=50)
        tracemalloc.start()
        with open_video(path) as video:
            for _ in video.until_end(k * 0.5 for k in range(100)):
                pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 500_000

"""What is wrong with a file is said, what can be read of it is given, and nothing is invented."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline_lib.video.reader import VideoReader, open_video
from tests.support.video_files import constant_rate, read_number, textured, write_video


def decode_all(path: Path) -> tuple[VideoReader, list[tuple[float, int]]]:
    """The reader after its last frame; container time and burnt-in number of every frame."""
    shown = []
    with open_video(path, threads=1) as video:  # several threads conceal damage unlike each time
        for sample in video.until_end(Fraction(k, 100) for k in range(4000)):
            if not shown or shown[-1][0] != sample.pts_s + video.start_s:
                shown.append((sample.pts_s + video.start_s, read_number(sample.rgb())))
    return video, shown


def last_packet_start(path: Path) -> int:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return max(packet.pos for packet in container.demux(stream) if packet.size)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.avi", "a.mov"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_truncated_file_is_known_by_its_first_frame(tmp_path, name, share):
    codec = {"a.webm": "libvpx-vp9", "a.avi": "mpeg4"}.get(name, "libx264")
    path = constant_rate(tmp_path / name, 200, codec=codec)
    if name in ("a.mp4", "a.mov"):
        path = _index_first(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with open_video(path) as video:
        next(video.until_end([0.0]))
        assert video.damage is not None
        assert video.damage.reason == "truncated"
    video, shown = decode_all(path)
    assert 10 < video.frames <= 200
    assert all(round(25 * time) == number for time, number in shown)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_cut_between_two_packets_is_no_end(tmp_path, name):
    path = constant_rate(tmp_path / name, 100, gop=10)
    path = _index_first(path) if name == "a.mp4" else path
    path.write_bytes(path.read_bytes()[: last_packet_start(path)])
    video, _ = decode_all(path)
    assert video.errors == 0
    assert video.damage is not None
    assert video.damage.reason == "truncated"
    assert "longer than the file" in video.damage.message


def test_a_fragmented_file_cut_inside_a_fragment(tmp_path):
    whole = constant_rate(tmp_path / "whole.mp4", 100, gop=10)
    path = _remux(whole, tmp_path / "a.mp4", {"movflags": "frag_keyframe+empty_moov"})
    path.write_bytes(path.read_bytes()[:-200])
    video, _ = decode_all(path)
    assert video.damage is not None
    assert video.damage.reason == "truncated"


def test_a_broadcast_is_cut_anywhere_and_sound(tmp_path):
    content = constant_rate(tmp_path / "a.ts", 100, gop=10).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(20):
        start = int(rng.integers(0, len(content) // 2))
        end = int(rng.integers(len(content) * 3 // 4, len(content)))
        path = tmp_path / "cut.ts"
        path.write_bytes(content[start:end])
        video, _ = decode_all(path)
        assert video.damage is None
        assert video.frames > 10


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi"])
def test_a_hole_is_damage(tmp_path, name):
    path = constant_rate(tmp_path / name, 200, codec="mpeg4" if name == "a.avi" else "libx264")
    content = bytearray(path.read_bytes())
    start, length = len(content) // 3, len(content) // 10
    content[start : start + length] = bytes(length)
    path.write_bytes(content)
    video, _ = decode_all(path)
    assert video.damage is not None
    assert video.frames > 100


def test_lost_packets_without_any_error_are_damage(tmp_path):
    """Dead packets at the end of MPEG-4 part 10 give neither frames nor, always, errors."""
    path = _index_first(constant_rate(tmp_path / "a.mp4", 90, gop=10))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [(p.pos, p.size) for p in container.demux(stream) if p.size]
    content = bytearray(path.read_bytes())
    for position, size in packets[60:]:
        # A well-formed unit that is no picture: filler data of the packet's length.
        content[position : position + size] = (
            (size - 4).to_bytes(4, "big") + b"\x0c" + b"\xff" * (size - 6) + b"\x80"
        )
    path.write_bytes(content)
    video, shown = decode_all(path)
    assert video.damage is not None
    assert video.errors == 30
    assert len(shown) == 60


def test_lost_frames_at_the_start_do_not_shift_the_others(tmp_path):
    path = _index_first(constant_rate(tmp_path / "a.mp4", 60, gop=10))
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(container.streams.video[0]) if p.size]
        dead = [(p.pos, p.size) for p in packets[:20]]
    content = bytearray(path.read_bytes())
    for position, size in dead:
        content[position : position + size] = bytes(size)
    path.write_bytes(content)
    with open_video(path, threads=1) as video:
        numbers = [
            (round(sample.pts_s * 25), read_number(sample.rgb()))
            for sample in video.until_end(k / 25 for k in range(60))
        ]
    assert video.damage is not None
    assert numbers[-1] == (59, 59)
    assert numbers[30] == (30, 30)


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """900 frames, 4 MB, index in front."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return textured(path, 900, encoder={"preset": "veryfast", "qp": "18"})


def _truncated(content: bytearray) -> None:
    del content[int(len(content) * 0.553) :]


def _flipped(content: bytearray) -> None:
    rng = np.random.default_rng(0)
    for position in rng.integers(40_000, len(content), 400):
        content[position] ^= 1 << int(rng.integers(8))


def _hole(content: bytearray) -> None:
    start = int(len(content) * 0.4)
    content[start : start + 120_000] = bytes(120_000)


def _dead_tail(content: bytearray) -> None:
    start = int(len(content) * 2 / 3)
    content[start:] = bytes(len(content) - start)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "reason", "frames", "right"),
    [
        (_truncated, "truncated", 503, 503),
        (_flipped, "corrupt", 899, 450),
        (_hole, "corrupt", 886, 800),
        (_dead_tail, "corrupt", 613, 613),
    ],
)
def test_a_damaged_film_gives_what_is_left(film, tmp_path, spoil, reason, frames, right):
    """As many frames as the ffmpeg command line finds in these, each at its own time.

    Until the next key frame, what refers to a lost picture shows remains of an older one.
    """
    content = bytearray(film.read_bytes())
    assert 3_000_000 < len(content) < 6_000_000
    spoil(content)
    path = tmp_path / "spoilt.mp4"
    path.write_bytes(content)
    video, shown = decode_all(path)
    assert video.damage is not None
    assert video.damage.reason == reason
    assert frames <= video.frames <= 900
    assert sum(number == round(30 * time) for time, number in shown) >= right
    assert video.duration_s <= 30.0


def test_damage_is_none_for_frames_shown_at_odd_times(tmp_path):
    path = write_video(tmp_path / "a.mkv", [0, 1, 40, 10_000, 10_001, 60_000], gop=3)
    video, _ = decode_all(path)
    assert video.damage is None


def _index_first(path: Path) -> Path:
    return _remux(path, path.with_name("front_" + path.name), {"movflags": "faststart"})


def _remux(source: Path, path: Path, options: dict[str, str]) -> Path:
    with av.open(str(source)) as opened, av.open(str(path), "w", options=options) as target:
        original = opened.streams.video[0]
        copy = target.add_stream_from_template(original)
        for packet in opened.demux(original):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    return path

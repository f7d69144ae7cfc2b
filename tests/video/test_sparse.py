"""A few frames of a long video: the same ones as in a whole pass, for less work."""

from pathlib import Path

import av
import numpy as np
import pytest

from pipeline_lib.video.decoders.h264 import first_slice_refers, length_bytes
from pipeline_lib.video.decoders.pyav_stream import TrackReader
from pipeline_lib.video.reader import open_video, read_frames
from tests.support.video_files import constant_rate, read_number


@pytest.fixture
def decoded(monkeypatch) -> list[int]:
    """Collects how many frames each packet gave."""
    counts: list[int] = []
    plain = TrackReader.decode

    def counting(self, packet, failed):
        frames = plain(self, packet, failed)
        counts.append(len(frames))
        return frames

    monkeypatch.setattr(TrackReader, "decode", counting)
    return counts


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_only_the_way_from_the_key_frame_is_decoded(tmp_path, decoded, name):
    path = constant_rate(tmp_path / name, 600, gop=50)
    times = [3.1, 11.0, 11.04, 23.9]
    with open_video(path, threads=1) as video:
        numbers = [read_number(sample.rgb()) for sample in video.at(times)]
    assert numbers == [77, 275, 276, 597]
    assert sum(decoded) < 160
    assert video.frames == 598
    assert video.errors == 0


def test_neighbouring_frames_are_read_through(tmp_path, decoded):
    path = constant_rate(tmp_path / "a.mp4", 100, gop=10)
    frames = read_frames(path, np.arange(0, 2, 0.08))
    assert [read_number(frame) for frame in frames.frames] == list(range(0, 50, 2))


def test_unordered_and_repeated_times(tmp_path):
    path = constant_rate(tmp_path / "a.mp4", 400, gop=40)
    frames = read_frames(path, [14.0, 2.0, 2.0, 99.0, 9.0])
    assert [read_number(frame) for frame in frames.frames] == [350, 50, 50, 399, 225]
    assert frames.source_index.tolist() == [350, 50, 50, 399, 225]


@pytest.mark.parametrize("dead", [range(200, 201), range(201, 210)], ids=["key", "others"])
def test_what_differs_from_the_index_falls_back_to_the_whole_pass(tmp_path, dead):
    path = with_dead_packets(tmp_path / "a.mp4", dead)
    with open_video(path, threads=1) as video:
        every = {s.source_index: s.rgb() for s in video.until_end(k / 25 for k in range(400))}
    with open_video(path, threads=1) as video:
        few = [(s.source_index, s.rgb()) for s in video.at([1.0, 8.6, 15.0])]
    assert video.errors > 0
    assert len(few) == 3
    assert all(np.array_equal(every[number], image) for number, image in few)


@pytest.mark.parametrize("number", [200, 201, 205, 213, 217, 399])
@pytest.mark.parametrize("filler", [0, 0xA5])
def test_damage_that_others_build_on_is_met_at_one_frame_a_second(tmp_path, number, filler):
    path = with_dead_packets(tmp_path / "a.mp4", range(number, number + 1), filler)
    with open_video(path, threads=1) as whole:
        for sample in whole.until_end(k / 25 for k in range(400)):
            sample.rgb()
    with open_video(path, threads=1) as video:
        list(video.until_end(float(k) for k in range(400)))
    assert whole.damage is not None
    assert video.damage == whole.damage


def with_dead_packets(path: Path, dead: range, filler: int = 0) -> Path:
    """A video of 400 frames, a key frame every 40, in which some packets hold only ``filler``."""
    constant_rate(path, 400, gop=40)
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(container.streams.video[0]) if p.size]
        places = [(packets[number].pos, packets[number].size) for number in dead]
    content = bytearray(path.read_bytes())
    for position, size in places:
        content[position + 4 : position + size] = bytes([filler]) * (size - 4)
    path.write_bytes(content)
    return path


def test_whether_other_pictures_build_on_one():
    start = b"\0\0\0\1"
    slices = {0x65: True, 0x41: True, 0x01: False, 0x21: True}
    for header, refers in slices.items():
        unit = bytes([header, 0x88, 0x84])
        assert first_slice_refers(start + b"\x09\xf0" + start + unit, 0) is refers
        assert first_slice_refers(b"\0\0\0\2\x06\x01\0\0\0\3" + unit, 4) is refers
    for nothing in (b"", b"\0" * 40, start, start + b"\x06\x01", b"\xff" * 40):
        assert first_slice_refers(nothing, 0) is None
        assert first_slice_refers(nothing, 4) is None
    assert length_bytes(b"\x01\x64\0\x1f\xff\xe1") == 4
    assert length_bytes(b"\0\0\0\x01\x67") == 0
    assert length_bytes(None) == 0

"""Files that are no video, or that want more than a video may: one typed word each, at once."""

import os
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline_lib.errors import VideoError
from pipeline_lib.video.decoders import DECODERS
from pipeline_lib.video.reader import open_video, read_frames
from pipeline_lib.video.scaling import Resize
from tests.support.video_files import constant_rate, read_number
from tests.video.conformance import available
from tests.video.corpus import cover_art, encode, sound

HERE = [decoder for decoder in DECODERS if available(decoder)]


def picture_only(path: Path) -> None:
    with av.open(str(path), "w") as container:
        endings = [sound(container), cover_art(container)]
        for finish in endings:
            finish()


def audio_only(path: Path) -> None:
    with av.open(str(path), "w") as container:
        sound(container)()


def without_frames(path: Path) -> None:
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        sound(container)()


def index_cut_off(path: Path) -> None:
    whole = constant_rate(path.with_name("whole.mp4"), 100)
    path.write_bytes(whole.read_bytes()[:-600])


def endless_picture(path: Path) -> None:
    """The header's picture size overwritten with one that takes 30 gigabytes."""
    whole = path.with_name("whole.avi")
    constant_rate(whole, 5, codec="rawvideo")
    content = bytearray(whole.read_bytes())
    header = content.index(b"strf") + 8
    content[header + 4 : header + 12] = (100_000).to_bytes(4, "little") * 2
    path.write_bytes(content)


def endless_packets(path: Path) -> None:
    """The same in every packet, where no header warns."""
    whole = path.with_name("whole.avi")
    constant_rate(whole, 5, codec="mjpeg", pixel_format="yuvj420p")
    content = bytearray(whole.read_bytes())
    position = -1
    while (position := content.find(b"\xff\xc0\x00\x11\x08", position + 1)) >= 0:
        content[position + 5 : position + 9] = b"\xff\xdc\xff\xdc"
    path.write_bytes(content)


def hls_playlist(path: Path) -> None:
    constant_rate(path.with_name("segment.ts"), 20)
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.8,\nsegment.ts\n#EXT-X-ENDLIST\n")


def concat_script(path: Path) -> None:
    constant_rate(path.with_name("other.mp4"), 20)
    path.write_text("ffconcat version 1.0\nfile other.mp4\n")


BAD: dict[str, tuple] = {
    "missing": (lambda p: None, "missing"),
    "empty": (lambda p: p.touch(), "empty"),
    "garbage": (lambda p: p.write_bytes(np.random.default_rng(0).bytes(100_000)), "unreadable"),
    "zeros": (lambda p: p.write_bytes(bytes(100_000)), "unreadable"),
    "html": (lambda p: p.write_text("<!DOCTYPE html><html><body>404</body></html>"), "unreadable"),
    "folder": (lambda p: p.mkdir(), "unreadable"),
    "pipe": (os.mkfifo, "unreadable"),
    "dead_link": (lambda p: p.symlink_to(p.parent / "gone.mp4"), "missing"),
    "own_link": (lambda p: p.symlink_to(p), "unreadable"),
    "index_cut_off": (index_cut_off, "unreadable"),
    "audio_only": (audio_only, "no_video_stream"),
    "cover_art_only": (picture_only, "no_video_stream"),
    "no_frames": (without_frames, "no_frames"),
    "endless_picture": (endless_picture, "absurd_size"),
    "endless_packets": (endless_packets, "no_frames"),
    "hls_playlist": (hls_playlist, "unreadable"),
    "concat_script": (concat_script, "unreadable"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("decoder", HERE)
def test_bad_files_say_why_at_once(tmp_path, name, decoder):
    make, reason = BAD[name]
    path = tmp_path / "bad.mp4"
    make(path)
    begin = time.monotonic()
    with pytest.raises(VideoError) as caught:
        read_frames(path, every_s=1.0, decoder=decoder)
    assert caught.value.reason == reason
    assert str(path) in caught.value.message
    assert time.monotonic() - begin < 5


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_that_may_not_be_read(tmp_path):
    path = constant_rate(tmp_path / "a.mp4", 3)
    path.chmod(0)
    with pytest.raises(VideoError, match="ermission denied") as caught:
        read_frames(path, [0.0])
    assert caught.value.reason == "unreadable"


@pytest.mark.parametrize(
    "name",
    [
        "-i.mp4",
        "a:b.mp4",
        "http:x.mp4",
        "%03d.mp4",
        "a b'\"$.mp4",
        "été 🎬.mp4",
        "a|b.mp4",
        "x\ny.mp4",
    ],
)
@pytest.mark.parametrize("decoder", HERE)
def test_names_are_only_names(tmp_path, monkeypatch, name, decoder):
    written = constant_rate(tmp_path / "plain.mp4", 5)
    written.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    frames = read_frames(Path(name), [0.12], decoder=decoder)
    assert read_number(frames.frames[0]) == 3


def test_a_name_that_is_a_pattern_opens_no_other_file(tmp_path):
    constant_rate(tmp_path / "001.mp4", 5)
    with pytest.raises(VideoError, match="no such file"), open_video(tmp_path / "%03d.mp4"):
        pass


def test_a_thread_of_a_picture_is_not_blown_up(tmp_path):
    path = tmp_path / "thin.mkv"
    encode(path, [0, 1], Fraction(1, 25), codec="ffv1", size=(16_000, 2))
    with open_video(path) as video, pytest.raises(VideoError, match="cannot be scaled") as caught:
        next(video.at([0.0])).rgb(Resize(224))
    assert caught.value.reason == "absurd_size"

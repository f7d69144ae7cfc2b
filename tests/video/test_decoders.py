"""What the other decoders refuse, and what they say where their library is missing."""

import sys
from fractions import Fraction

import av
import pytest

from pipeline_lib.errors import ConfigError, VideoError
from pipeline_lib.video.decoders import DECODERS
from pipeline_lib.video.decoders import decord as decord_module
from pipeline_lib.video.reader import open_video, read_frames
from tests.support.video_files import constant_rate, read_number, textured
from tests.video.conformance import available

OTHERS = [d for d in DECODERS if d not in ("pyav", "ffmpeg") and available(d)]


@pytest.mark.parametrize(
    ("decoder", "module", "package"),
    [
        ("opencv", "cv2", "opencv-python-headless"),
        ("decord", "decord", "decord"),
        ("torchcodec", "torchcodec", "torchcodec"),
    ],
)
def test_a_missing_library_is_named_with_its_remedy(
    tmp_path, monkeypatch, decoder, module, package
):
    path = constant_rate(tmp_path / "a.mp4", 3)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=f"decoder {module}: .*\n.*pip install {package}"):
        read_frames(path, [0.0], decoder=decoder)


def test_a_missing_ffmpeg_is_said(tmp_path, monkeypatch):
    path = constant_rate(tmp_path / "a.mp4", 3)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"ffmpeg is not installed.*\n.*apt-get install ffmpeg"):
        read_frames(path, [0.0], decoder="ffmpeg")


@pytest.mark.parametrize("decoder", OTHERS)
def test_a_short_read_is_never_the_end_of_the_video(tmp_path, decoder):
    """A hole that the library takes for the end, in a file whose header counts all frames."""
    path = textured(tmp_path / "a.mp4", 120, gop=30)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40_000] = bytes(40_000)
    path.write_bytes(content)
    with pytest.raises(VideoError) as caught:
        read_frames(path, every_s=0.1, decoder=decoder)
    assert caught.value.reason == "decoder_mismatch"
    assert "pyav" in (caught.value.hint or "")


@pytest.mark.parametrize("decoder", [*OTHERS, *(["ffmpeg"] if available("ffmpeg") else [])])
def test_a_truncated_file_is_known_or_refused(tmp_path, decoder):
    path = textured(tmp_path / "a.mp4", 120, gop=30)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found = []
    try:
        with open_video(path, decoder=decoder) as video:
            for _ in video.until_end([0.0]):
                found.append(video.damage.reason if video.damage else None)
    except VideoError as error:
        found.append(error.reason)
    assert found[-1] in ("truncated", "decoder_mismatch")


@pytest.mark.skipif(not available("ffmpeg"), reason="ffmpeg is not installed")
def test_ffmpeg_goes_on_behind_damage_as_pyav_does(tmp_path):
    path = textured(tmp_path / "a.mp4", 120, gop=30)
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(container.streams.video[0]) if p.size]
        dead = [(p.pos, p.size) for p in packets[50:60]]
    content = bytearray(path.read_bytes())
    for position, size in dead:
        content[position : position + size] = bytes(size)
    path.write_bytes(content)
    shown = {}
    for decoder in ("pyav", "ffmpeg"):
        with open_video(path, decoder=decoder, threads=1) as video:
            samples = video.until_end(Fraction(k, 30) for k in range(120))
            shown[decoder] = [(s.pts_s, read_number(s.rgb())) for s in samples]
        assert video.damage is not None
        assert video.frames == 110
        assert video.errors >= 10
    assert shown["ffmpeg"] == shown["pyav"]
    assert all(number == round(30 * pts) for pts, number in shown["pyav"] if pts >= 2)


@pytest.mark.skipif(not available("decord"), reason="decord is not installed")
def test_decord_gets_no_video_that_fills_the_memory(tmp_path, monkeypatch):
    path = constant_rate(tmp_path / "a.mp4", 50)
    monkeypatch.setattr(decord_module, "MAX_DECODED_BYTES", 50 * 256 * 96 * 3 - 1)
    with pytest.raises(VideoError, match="keep all decoded frames in memory"):
        read_frames(path, [0.0], decoder="decord")


@pytest.mark.skipif(not available("ffmpeg"), reason="ffmpeg is not installed")
def test_ffmpeg_ends_with_its_video(tmp_path):
    path = textured(tmp_path / "a.mp4", 300)
    with open_video(path, decoder="ffmpeg") as video:
        next(video.at([0.0])).rgb()
    assert video.errors == 0


@pytest.mark.parametrize("decoder", OTHERS)
def test_a_frame_that_was_passed_over_is_not_given_as_another(tmp_path, decoder):
    path = constant_rate(tmp_path / "a.mp4", 10)
    with open_video(path, decoder=decoder) as video:
        samples = list(video.at([0.0, 0.2]))
        with pytest.raises(ValueError, match="Frame 0 has been passed over"):
            samples[0].rgb()

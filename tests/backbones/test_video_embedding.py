import logging
from fractions import Fraction

import numpy as np
import pytest

from pipeline_lib.backbones.video_embedding import embed_video, squash_image, unit_rows
from pipeline_lib.errors import ConfigError, DataError, VideoError, WeightsError
from pipeline_lib.video.scaling import Resize
from tests.support.video_files import constant_rate, garbage, textured, write_video
from tests.top_frames.number_clip import NumberClip


def numbers(embedded, backbone=0):
    """The numbers of the frames, read back from their features."""
    x, y = embedded.features[backbone].T
    return np.degrees(np.arctan2(y, x)).round().astype(int).tolist()


class MeanColour(NumberClip):
    """The mean colour and the shape of what it is given."""

    dim = 5
    resize = Resize(16, crop=16)

    def encode(self, frames):
        return np.array(
            [[*frame.mean(axis=(0, 1)), *frame.shape[:2]] for frame in frames], np.float32
        )


def test_frames_at_a_fixed_spacing(tmp_path):
    video = constant_rate(tmp_path / "a.mp4", 50)
    clip = NumberClip()
    seen = embed_video(video, [clip], every_s=0.25)
    assert numbers(seen) == seen.source_index.tolist() == [0, 6, 12, 18, 25, 31, 37, 43]
    assert seen.pts_s.tolist() == pytest.approx([i / 25 for i in seen.source_index])
    assert seen.features[0].dtype == np.float32
    assert np.linalg.norm(seen.features[0], axis=1) == pytest.approx(1)
    assert seen.duration_s == pytest.approx(2.0)
    assert clip.batches == [4, 4]
    assert len(seen) == 8


def test_a_frame_that_stays_is_one_row(tmp_path):
    slow = constant_rate(tmp_path / "slow.mp4", 5, rate=2)
    assert numbers(embed_video(slow, [NumberClip()], every_s=0.1)) == [0, 1, 2, 3, 4]
    uneven = write_video(tmp_path / "uneven.mkv", [0, 40, 80, 3000, 3040, 9000])
    seen = embed_video(uneven, [NumberClip()], every_s=0.5)
    assert numbers(seen) == seen.source_index.tolist() == [0, 2, 3, 4, 5]
    assert seen.pts_s.tolist() == pytest.approx([0, 0.08, 3.0, 3.04, 9.0])


def test_one_frame_is_enough(tmp_path):
    video = constant_rate(tmp_path / "a.mp4", 1)
    assert numbers(embed_video(video, [NumberClip()], every_s=0.25)) == [0]
    assert numbers(embed_video(video, [NumberClip()], times_s=[5.0, 0.0])) == [0, 0]


def test_wanted_times_keep_their_order_and_repeat(tmp_path):
    video = constant_rate(tmp_path / "a.mp4", 50)
    clip = NumberClip()
    seen = embed_video(video, [clip], times_s=[1.0, 0.0, 1.01, 99.0, 0.5])
    assert numbers(seen) == seen.source_index.tolist() == [25, 0, 25, 49, 12]
    assert sum(clip.batches) == 4  # two of the times show one frame
    assert numbers(embed_video(video, [clip], times_s=[])) == []
    assert embed_video(video, [clip], times_s=[]).features[0].shape == (0, 2)


def test_several_networks_share_one_pass(tmp_path):
    video = constant_rate(tmp_path / "a.mp4", 30)
    first, second, third = NumberClip(4), NumberClip(3), MeanColour(4)
    seen = embed_video(video, [first, second, third], every_s=0.1)
    assert first.batches == [4, 4, 4]
    assert second.batches == [3, 3, 3, 3]
    assert seen.features[0].tobytes() == seen.features[1].tobytes()
    height, width = (seen.features[2] / seen.features[2][:, 3:4] * 16)[0, 3:]
    assert (height, width) == (16, 16)


def test_frames_can_be_squashed_first(tmp_path):
    image = np.zeros((10, 40, 3), np.uint8)
    image[:, 20:] = 255
    squashed = squash_image(image, (20, 30))
    assert squashed.shape == (30, 20, 3)
    assert (squashed[:, 0], squashed[:, -1]) == (pytest.approx(0), pytest.approx(255))
    video = constant_rate(tmp_path / "a.mp4", 3)
    wide = MeanColour()
    wide.resize = Resize(16)  # keeps the shape, so the squashed one can be seen
    seen = embed_video(video, [wide], every_s=1.0, squash=(96, 48))
    assert seen.features[0][0, 4] / seen.features[0][0, 3] == pytest.approx(2)


def test_a_video_that_cannot_be_read(tmp_path):
    with pytest.raises(VideoError, match=r"nope\.mp4: no such file"):
        embed_video(tmp_path / "nope.mp4", [NumberClip()], every_s=1.0)
    with pytest.raises(VideoError, match="not a readable video"):
        embed_video(garbage(tmp_path / "b.mp4"), [NumberClip()], every_s=1.0)


def test_damage_is_said(tmp_path, caplog):
    video = textured(tmp_path / "a.mp4", 90, gop=30)
    whole = video.read_bytes()
    video.write_bytes(whole[: len(whole) * 2 // 3])
    with caplog.at_level(logging.WARNING):
        seen = embed_video(video, [MeanColour()], every_s=0.5)
    assert 2 <= len(seen) < 6
    assert "a.mp4" in caplog.text
    assert "the rest is used" in caplog.text


def test_what_has_no_feature_of_a_frame(tmp_path):
    clips = NumberClip()
    clips.frames_per_sample = 32
    with pytest.raises(ConfigError, match="numbers takes clips of 32 frames"):
        embed_video(tmp_path / "a.mp4", [clips], every_s=1.0)


def test_times_that_show_nothing(tmp_path):
    video = constant_rate(tmp_path / "a.mp4", 5, rate=Fraction(25))
    for times in ([0.0, -1.0], [float("nan")]):
        with pytest.raises(DataError, match="no frame is shown at"):
            embed_video(video, [NumberClip()], times_s=times)
    with pytest.raises(ValueError, match="exactly one"):
        embed_video(video, [NumberClip()])
    with pytest.raises(ValueError, match="positive"):
        embed_video(video, [NumberClip()], every_s=0.0)


def test_rows_without_direction():
    assert unit_rows(np.array([[3.0, 4.0]], np.float32)).tolist() == [[0.6, 0.8]]
    for row in ([0.0, 0.0], [np.nan, 1.0]):
        with pytest.raises(WeightsError, match="gives a caption an embedding of length"):
            unit_rows(np.array([[1.0, 0.0], row], np.float32), "a caption")

import csv
import json
import logging

import numpy as np
import pytest
from PIL import Image

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.clip import load_clip
from pipeline_lib.errors import ConfigError, DataError, VideoError
from pipeline_lib.top_frames import ranking
from pipeline_lib.top_frames.api import top_frames
from tests.support.tiny_clip import untrained_clip
from tests.support.video_files import constant_rate, garbage, read_number, write_video
from tests.top_frames.number_clip import NumberClip


@pytest.fixture
def video(tmp_path):
    return constant_rate(tmp_path / "a.mp4", 100)


def test_the_best_frame_of_each_part(video):
    found = top_frames(video, "frame 40", NumberClip(), k=4, fps=25)
    assert [frame.source_index for frame in found.frames] == [24, 40, 50, 75]
    assert [read_number(frame.image) for frame in found.frames] == [24, 40, 50, 75]
    assert [frame.time_s for frame in found.frames] == pytest.approx([0.96, 1.6, 2.0, 3.0])
    assert [frame.segment for frame in found.frames] == [0, 1, 2, 3]
    assert [frame.rank for frame in found.frames] == [3, 1, 2, 4]
    expected = np.cos(np.radians([16, 0, 10, 35]))
    assert [frame.score for frame in found.frames] == pytest.approx(expected, abs=1e-6)
    assert len(found.scores) == len(found.times_s) == 100
    assert found.frames[0].image.shape == (96, 256, 3)
    assert found.frames[0].image.dtype == np.uint8


def test_the_original_choice(video):
    options = {"segments": "original-first3", "fps": 12.5}
    found = top_frames(video, "frame 90", NumberClip(), **options, size=(192, 108))
    # 50 sampled frames, every second one: 3, then thrice 15, the last with the remainder of 2.
    assert [frame.source_index for frame in found.frames] == [4, 34, 64, 90]
    assert {frame.image.shape for frame in found.frames} == {(108, 192, 3)}


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7])
def test_short_videos_give_what_they_have(tmp_path, n):
    video = constant_rate(tmp_path / "a.mp4", n)
    found = top_frames(video, "frame 0", NumberClip(), fps=100)
    assert len({frame.source_index for frame in found.frames}) == min(4, n)
    found.save(tmp_path / "out")
    assert (tmp_path / "out" / "strip.png").is_file()


def test_frames_of_uneven_length(tmp_path):
    video = write_video(tmp_path / "a.mkv", [0, 40, 5000, 5040, 5080, 60_000])
    found = top_frames(video, "frame 3", NumberClip(), k=2, fps=25)
    # A picture that stands still is one frame, so the parts are 0, 1, 2 and 3, 4, 5.
    assert [frame.source_index for frame in found.frames] == [2, 3]
    assert len(found.scores) == 6


def test_equal_scores_take_the_first(tmp_path):
    clip = NumberClip()
    clip.encode = lambda frames: np.ones((len(frames), 2), np.float32)
    video = constant_rate(tmp_path / "a.mp4", 40)
    found = top_frames(video, "frame 0", clip, fps=25, k=2)
    assert [(frame.source_index, frame.rank) for frame in found.frames] == [(0, 1), (20, 2)]


def test_what_is_saved(video, tmp_path):
    out = tmp_path / "out"
    record = top_frames(video, "frame 40", NumberClip(), fps=25).save(out)
    assert record == json.loads((out / "frames.json").read_text())
    assert record["video"] == str(video)
    assert (record["caption"], record["weights_sha256"], record["k"]) == ("frame 40", "number", 4)
    assert [frame["file"] for frame in record["frames"]] == [
        "top_01_f000024.png", "top_02_f000040.png", "top_03_f000050.png", "top_04_f000075.png",
    ]  # fmt: skip
    for frame in record["frames"]:
        with Image.open(out / frame["file"]) as image:
            assert read_number(np.asarray(image)) == frame["source_index"]
    with (out / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 100
    chosen = [int(row["source_index"]) for row in rows if row["chosen"] == "1"]
    assert chosen == [24, 40, 50, 75]
    assert rows[40] == {
        "source_index": "40", "time_s": "1.6", "score": "1.0", "segment": "1", "chosen": "1",
    }  # fmt: skip


def test_saving_again_gives_the_same_bytes_and_leaves_nothing_old(video, tmp_path):
    found = top_frames(video, "frame 40", NumberClip(), fps=25)
    found.save(tmp_path / "a")
    top_frames(video, "frame 3", NumberClip(), fps=25, k=8).save(tmp_path / "b")
    found.save(tmp_path / "b")
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "ab"
    )
    assert first == second
    assert len(first) == 4 + 3


@pytest.mark.parametrize("name", ["notes.txt", "strip.png", "top_01_f000001.png"])
def test_a_folder_with_something_else_stays(video, tmp_path, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    with pytest.raises(DataError, match=f"out holds '{name}'"):
        top_frames(video, "frame 40", NumberClip()).save(tmp_path / "out")
    assert (tmp_path / "out" / name).read_text() == "mine"


def test_mistakes(video, tmp_path):
    clip = NumberClip()
    for options in ({"k": 0}, {"fps": 0}, {"fps": float("nan")}, {"fps": 1e6}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            top_frames(video, "frame 1", clip, **options)
    with pytest.raises(ConfigError, match="segments = 'eqal'"):
        top_frames(video, "frame 1", clip, segments="eqal")
    with pytest.raises(ConfigError, match="size 0x5"):
        top_frames(video, "frame 1", clip, size=(0, 5))
    with pytest.raises(DataError, match="caption is empty"):
        top_frames(video, " \n", clip)
    with pytest.raises(DataError, match=r"caption 'a \\udce9' is not valid Unicode"):
        top_frames(video, "a \udce9", clip)
    with pytest.raises(VideoError, match="no such file"):
        top_frames(tmp_path / "b.mp4", "frame 1", clip)
    with pytest.raises(VideoError, match="not a readable video"):
        top_frames(garbage(tmp_path / "b.mp4"), "frame 1", clip)


def test_a_file_that_changes_meanwhile_is_refused(video, tmp_path):
    clip = NumberClip()
    [ranked] = ranking.rank_frames(
        video, ["frame 40"], ranking.embed_captions(clip, ["frame 40"]), clip,
        ranking.ChoiceOptions(fps=25),
    )  # fmt: skip
    other = constant_rate(tmp_path / "b.mp4", 40, rate=10)
    with pytest.raises(VideoError, match=r"was frame 24, and is 9 when read again"):
        list(ranking.read_pixels(other, [ranked], None))


@pytest.mark.parametrize(("words", "cut"), [("frame 1" + " " * 3, 0), ("frame 1" + " " * 4, 1),
                                            ("frame 1" + " " * 9, 6)])  # fmt: skip
def test_a_caption_longer_than_the_model_reads_is_told(caplog, words, cut):
    with caplog.at_level(logging.WARNING):
        ranking.embed_captions(NumberClip(), [words])
    assert caplog.messages == (
        [f"The model reads 12 tokens of a caption; the last {cut} of {words!r} are left out."]
        if cut
        else []
    )


def test_with_a_real_clip(video, tmp_path, caplog):
    model = load_clip(untrained_clip(tmp_path / "clip"), Placement(batch_size=8))
    found = top_frames(video, "a red circle " * 30, model, fps=5)
    assert "reads 77 tokens of a caption; the last 15 of" in caplog.text  # 90 words, 2 marks
    again = top_frames(video, "a red circle " * 30, model, fps=5)
    assert found.scores.tobytes() == again.scores.tobytes()
    assert (np.abs(found.scores) <= 1).all()
    assert found.facts["trained"] is False

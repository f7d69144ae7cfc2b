"""The control of single frames."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline_lib.errors import VideoError
from pipeline_lib.evaluation.videomamba.frame_model import FrameModel
from pipeline_lib.trainers.videomamba.splits import Clips
from pipeline_lib.video.scaling import Resize
from tests.evaluation.videomamba.splits import answered

NAMES = ("red", "green", "blue")


class ColourStore:
    """Windows whose every second frame has the colour of their class; the others are grey."""

    def __init__(self, items, broken):
        self.items, self.broken = items, broken

    def test_indices(self, row, segment=0, segments=1):
        return np.array([2 * segment, 2 * segment + 1])

    def read(self, row, indices):
        if row in self.broken:
            raise VideoError("v.mp4: damaged.", reason="corrupt")
        frames = np.full((len(indices), 12, 16, 3), 30, np.uint8)
        frames[np.asarray(indices) % 2 == 1, ..., self.items[row].label] = 120
        return frames


class ColourClip:
    """Embeds a frame as its mean colour."""

    resize = Resize(8, crop=8)

    def encode(self, frames):
        assert {frame.shape for frame in frames} == {(8, 8, 3)}
        return np.stack([frame.mean(axis=(0, 1)) for frame in frames]).astype(np.float32)


def clips(name, labels, broken=()):
    listed = answered(labels, np.eye(3)[labels], names=NAMES).clips
    items = tuple(replace(item, id=f"{name} {item.id}") for item in listed.items)
    return Clips(name, replace(listed, items=items), ColourStore(items, broken))


def test_colours_are_told_apart_and_frames_averaged():
    model = FrameModel(ColourClip(), 2, clips("train", [0, 1, 2] * 4), clips("val", [0, 1, 2]), 0)
    answers = model.answer(clips("test", [2, 1, 0, 0]))
    assert answers.rows.argmax(axis=1).tolist() == [2, 1, 0, 0]
    assert answers.views == ("test v0", "test v1", "test v2", "test v3")
    assert answers.merged.videos == ("v0", "v1", "v2", "v3")


def test_what_cannot_be_read_is_left_out():
    train, val = clips("train", [0, 1, 2] * 4, broken=(0,)), clips("val", [0, 1, 2])
    model = FrameModel(ColourClip(), 1, train, val, 0)
    assert model.answer(clips("test", [0, 1, 2], broken=(1,))).videos == ("v0", "v2")
    with pytest.raises(VideoError, match="No video of test can be read"):
        model.answer(clips("test", [0], broken=(0,)))

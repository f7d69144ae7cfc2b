from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipeline_lib.pictures.named_video import NamedVideo, draw_named_video

FRAMES = [np.full((30, 40, 3), 12 * number, np.uint8) for number in range(8)]
SHARES = [("left", 0.75), ("a class with a very long name indeed", 0.25)]
VIDEO = NamedVideo("test/left/a.mp4", "an example", "left", "left", True, SHARES, FRAMES)


def size(path):
    with Image.open(path) as image:
        return image.size


def test_the_same_video_gives_the_same_bytes(tmp_path):
    for name in ("one.png", "two.png"):
        draw_named_video(tmp_path / name, VIDEO)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_right_wrong_and_values_look_different(tmp_path):
    found = set()
    for right in (True, False, None):
        draw_named_video(tmp_path / "video.png", replace(VIDEO, right=right))
        found.add((tmp_path / "video.png").read_bytes())
    assert len(found) == 3


@pytest.mark.parametrize("count", [1, 4, 5, 16])
def test_rows_of_four_frames(tmp_path, count):
    draw_named_video(tmp_path / "video.png", replace(VIDEO, frames=(FRAMES * 2)[:count]))
    draw_named_video(tmp_path / "one.png", replace(VIDEO, frames=FRAMES[:1]))
    assert size(tmp_path / "video.png")[1] >= size(tmp_path / "one.png")[1]


def test_of_many_frames_some_are_left_out(tmp_path):
    draw_named_video(tmp_path / "many.png", replace(VIDEO, frames=FRAMES * 8))
    draw_named_video(tmp_path / "some.png", replace(VIDEO, frames=FRAMES * 2))
    assert size(tmp_path / "many.png") == size(tmp_path / "some.png")

import pytest
from PIL import Image

from pipeline_lib.errors import DataError
from pipeline_lib.pictures.contender_bars import Bar, draw_contender_bars

BARS = [Bar("own_model", 80.0, 4.0, 75.0), Bar("모델 $a$", 20.0), Bar("unknown", None)]


def test_the_same_bars_give_the_same_bytes(tmp_path):
    drawn = []
    for name in ("one.png", "two.png"):
        path = tmp_path / name
        draw_contender_bars(path, BARS, "test: 10 $ videos", "accuracy, %", mark="balanced")
        drawn.append(path.read_bytes())
    assert drawn[0] == drawn[1]


def test_each_bar_has_its_room(tmp_path):
    heights = []
    for bars in (BARS[:1], BARS):
        draw_contender_bars(tmp_path / "bars.png", bars, "title", "loss")
        with Image.open(tmp_path / "bars.png") as image:
            heights.append(image.height)
    assert heights[0] < heights[1]


def test_numbers_of_zero_are_drawn(tmp_path):
    draw_contender_bars(tmp_path / "bars.png", [Bar("none", 0.0, 0.0)], "title", "loss")
    assert (tmp_path / "bars.png").exists()


def test_nothing_to_draw_is_an_error(tmp_path):
    with pytest.raises(DataError, match="No contender has a number"):
        draw_contender_bars(tmp_path / "bars.png", [Bar("none", None)], "title", "loss")

"""Contact sheets."""

import numpy as np
import pytest
from PIL import Image

from pipeline_lib.pictures.contact_sheet import Tile, TileGroup, draw_contact_sheet

GREEN, RED, BLUE = (22, 128, 60), (200, 30, 30), (0, 0, 255)


@pytest.fixture
def frame(tmp_path):
    def make(width, height):
        path = tmp_path / f"{width}x{height}.png"
        Image.new("RGB", (width, height), BLUE).save(path)
        return path

    return make


def draw(path, true, negative, **changes):
    options = {
        "title": "When is the green circle visible?",
        "lines": ["from 0 to 2 s", "from 3 to 4 s"],
        "source": "q1 · train/a/b.mp4",
        "length_s": 10.0,
        "segments": 5,
    }
    groups = (TileGroup("TRUE", GREEN, true), TileGroup("NEGATIVE", RED, negative))
    draw_contact_sheet(path, groups=groups, **{**options, **changes})
    with Image.open(path) as image:
        return np.asarray(image)


def count(image, colour):
    return int((image == np.array(colour)).all(axis=2).sum())


def test_each_group_has_borders_of_its_colour(tmp_path, frame):
    true = [Tile(frame(160, 120), 1.0, "frame 25")]
    negative = [Tile(frame(160, 120), time, "cosine 0.5") for time in (3.0, 7.0)]
    image = draw(tmp_path / "sheet.png", true, negative)
    border = 2 * 6 * (232 + 174 + 2 * 6)  # four sides, 6 pixels wide
    assert border < count(image, GREEN) < 1.5 * border
    assert 2 * border < count(image, RED) < 2.7 * border
    green_rows = np.flatnonzero((image == GREEN).all(axis=2).sum(axis=1) > 200)
    red_rows = np.flatnonzero((image == RED).all(axis=2).sum(axis=1) > 200)
    assert green_rows.max() < red_rows.min()  # the true frames come first
    assert count(image, BLUE) == pytest.approx(3 * 232 * 174, rel=0.01)


def test_ticks_stand_where_the_frames_are(tmp_path, frame):
    true = [Tile(frame(160, 120), 2.5, ""), Tile(frame(160, 120), 10.0, "")]
    image = draw(tmp_path / "sheet.png", true, [], lines=[])
    top = np.flatnonzero((image == (225, 225, 225)).all(axis=2).sum(axis=1) > 900)[0]
    columns = np.flatnonzero((image[top + 2] == GREEN).all(axis=1))
    width = image.shape[1] - 48
    assert columns.min() == pytest.approx(24 + width / 4, abs=1)
    assert columns.max() == image.shape[1] - 24 - 1  # at the very end, still on the bar
    assert len(columns) == 12


def test_many_frames_make_rows_and_all_shapes_fit(tmp_path, frame):
    shapes = [(1920, 1080), (90, 160), (1, 1), (16, 2000), (160, 120), (8, 8)]
    true = [Tile(frame(*shape), 1.0, "frame 25") for shape in shapes]
    one_row = draw(tmp_path / "a.png", true[:5], [])
    two_rows = draw(tmp_path / "b.png", true, [])
    assert two_rows.shape[1] == one_row.shape[1]
    assert two_rows.shape[0] > one_row.shape[0] + 174


def test_long_words_and_long_questions_stay_on_the_sheet(tmp_path):
    short = draw(tmp_path / "a.png", [], [])
    words = "Which of the many coloured things that pass through this picture is seen " * 5
    for title in (words, "x" * 500, "질문" * 200):
        image = draw(tmp_path / "b.png", [], [], title=title)
        assert image.shape[1] == short.shape[1]
        assert image.shape[0] > short.shape[0] + 60
        margin = image[:, -20:]
        assert (margin == 255).all()


def test_nothing_to_show_is_still_a_sheet(tmp_path):
    with_line = draw(tmp_path / "a.png", [], [], title=" ", lines=[], source="")
    without = draw(tmp_path / "b.png", [], [], title=" ", lines=[], source="", length_s=0.0)
    assert without.shape[0] < with_line.shape[0]


def test_same_input_same_bytes(tmp_path, frame):
    true = [Tile(frame(160, 120), 1.0, "frame 25")]
    draw(tmp_path / "a.png", true, true)
    draw(tmp_path / "b.png", true, true)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()

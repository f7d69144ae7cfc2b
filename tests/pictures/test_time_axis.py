import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from pipeline_lib.errors import DataError
from pipeline_lib.pictures.figures import EVENT_COLOUR
from pipeline_lib.pictures.probability_timeline import ProbabilitySheet, ProbabilityTimeline
from pipeline_lib.pictures.time_axis import KEYWORD, TimeAxis, read_time_axis


def draw(path, seconds=20.0, windows=20):
    starts = np.arange(float(windows))
    timeline = ProbabilityTimeline(
        "test/fall/a", seconds, ((5.0, 10.0),), starts, starts + 1,
        np.tile([0.75, 0.25], (windows, 1)), 0, 0,
    )  # fmt: skip
    ProbabilitySheet(("fall", "normal"), 1).draw(path, timeline)


def test_a_picture_says_where_its_axis_lies(tmp_path):
    draw(tmp_path / "a.png")
    axis = read_time_axis(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert axis.seconds == 20
    assert axis.width == pixels.shape[1]
    colour = [int(EVENT_COLOUR[k : k + 2], 16) for k in (1, 3, 5)]
    bar = np.flatnonzero((np.abs(pixels - colour).sum(axis=2) < 12).any(axis=0))
    per_second = (axis.right - axis.left) / axis.seconds
    assert bar[0] == pytest.approx(axis.left + 5 * per_second, abs=1.5)
    assert bar[-1] == pytest.approx(axis.left + 10 * per_second, abs=1.5)


def test_the_axis_ends_with_the_last_window(tmp_path):
    draw(tmp_path / "a.png", seconds=17.5)
    assert read_time_axis(tmp_path / "a.png").seconds == 20


@pytest.mark.parametrize("words", [None, "no JSON", "[1]", '{"left": 1}', '{"left": "a"}'])
def test_a_picture_that_does_not_say_is_told(tmp_path, words):
    texts = PngImagePlugin.PngInfo()
    if words is not None:
        texts.add_text(KEYWORD, words)
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png", pnginfo=texts)
    with pytest.raises(DataError, match=r"a\.png: does not say where its time axis lies"):
        read_time_axis(tmp_path / "a.png")


def test_an_axis_that_cannot_be_is_told(tmp_path):
    texts = PngImagePlugin.PngInfo()
    for keyword, words in TimeAxis(90, 20, 100, 5).as_texts().items():
        texts.add_text(keyword, words)
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png", pnginfo=texts)
    with pytest.raises(DataError, match="cannot be"):
        read_time_axis(tmp_path / "a.png")


def test_a_broken_picture_is_told(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="not a readable picture"):
        read_time_axis(tmp_path / "a.png")

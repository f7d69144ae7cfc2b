import numpy as np
import pytest
from PIL import Image, ImageColor

from pipeline_lib.pictures.figures import GREEN
from pipeline_lib.pictures.found_videos import FoundVideo, draw_found_videos


def frame(rank, width=160, height=120):
    """A picture in a colour that no letter has."""
    return np.full((height, width, 3), (100 + rank, 10, 200), np.uint8)


def found(rank, right=False, frames=6, note="a red ring", name="v", **size):
    pictures = [frame(rank, **size)] * frames
    return FoundVideo(rank, name, 0.25, note, pictures, right)


def draw(path, videos, query="a red ring moves left", source="test"):
    draw_found_videos(path, query, videos, source)
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def place_of(image, rank):
    """Rows and columns of the pixels of a video's frames."""
    return np.nonzero((image == (100 + rank, 10, 200)).all(axis=2))


def rows_of(image, rank):
    return place_of(image, rank)[0]


def test_videos_stand_below_each_other_by_rank(tmp_path):
    image = draw(tmp_path / "a.png", [found(rank) for rank in (1, 2, 3)])
    spans = [(rows_of(image, rank).min(), rows_of(image, rank).max()) for rank in (1, 2, 3)]
    assert spans[0][1] < spans[1][0]
    assert spans[1][1] < spans[2][0]
    assert image.shape[1] == 1320
    assert (image[:, -20:] == 255).all()


def test_the_right_one_is_told_by_words_and_a_bar(tmp_path):
    image = draw(tmp_path / "a.png", [found(1), found(2, right=True), found(3)])
    green = np.nonzero(np.abs(image - ImageColor.getrgb(GREEN)).sum(axis=2) < 6)
    right = rows_of(image, 2)
    assert green[0].min() >= rows_of(image, 1).max()
    assert green[0].max() < rows_of(image, 3).min()
    assert len(set(green[0]) & set(right)) > 90  # along all of its row
    assert green[1].max() > 24 + 8 + 20  # and in its words
    none = draw(tmp_path / "b.png", [found(1), found(2)])
    assert not (np.abs(none - ImageColor.getrgb(GREEN)).sum(axis=2) < 6).any()


def test_ranks_that_are_left_out_are_told(tmp_path):
    near = draw(tmp_path / "a.png", [found(1), found(2)])
    far = draw(tmp_path / "b.png", [found(1), found(9)])
    assert far.shape[0] > near.shape[0]


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (90, 400), (1, 1), (2000, 16)])
def test_frames_of_any_shape_keep_it(tmp_path, width, height):
    image = draw(tmp_path / "a.png", [found(1, frames=1, width=width, height=height)])
    rows, columns = place_of(image, 1)
    shown = (np.ptp(columns) + 1) / (np.ptp(rows) + 1)
    assert shown == pytest.approx(width / height, rel=0.1)


def test_long_words_are_cut_or_take_more_lines(tmp_path):
    short = draw(tmp_path / "a.png", [found(1)])
    image = draw(
        tmp_path / "b.png",
        [found(1, note="쓰러짐 " * 80, name="x" * 200), found(2, frames=0, note="")],
        query="a red ring moves " * 20,
    )
    assert image.shape[0] > short.shape[0]
    assert (image[:, -20:] == 255).all()


def test_same_input_same_bytes(tmp_path):
    for name in ("a", "b"):
        draw(tmp_path / f"{name}.png", [found(1, right=True), found(7)])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()

import numpy as np
import pytest
from PIL import Image, ImageColor

from pipeline_lib.pictures.figures import BLUE, GREEN, ORANGE, VERMILION
from pipeline_lib.pictures.strip import StripRow, StripTile, draw_strip

LEFT, RIGHT = 24 + 64, 1320 - 24 - 12  # of the timeline


def frame(width=160, height=120, value=120):
    return np.full((height, width, 3), value, np.uint8)


def row(tiles, pts_s=(0.0, 5.0, 10.0), scores=(0.1, 0.5, 0.2), colour=BLUE, label="chosen"):
    return StripRow(label, tiles, pts_s, scores, colour)


def draw(path, rows, title="a red ring", length_s=10.0, **options):
    draw_strip(path, title, rows, length_s=length_s, **options)
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def where(image, colour):
    """Rows and columns of the pixels of a colour."""
    return np.nonzero(np.abs(image - ImageColor.getrgb(colour)).sum(axis=2) < 6)


@pytest.mark.parametrize("tiles", [1, 2, 4, 6, 8, 11])
def test_frames_stand_side_by_side_and_are_not_distorted(tmp_path, tiles):
    image = draw(tmp_path / "a.png", [row([StripTile(frame(), 1.0)] * tiles)], length_s=0.0)
    columns = min(max(tiles, 4), 8)
    side = (1320 - 48 + 12) // columns - 12 - 8
    rows, _ = np.nonzero((image == 120).all(axis=2))
    assert len(rows) == pytest.approx(tiles * side * side * 0.75, rel=0.02)
    assert image.shape[1] == 1320
    assert (image[:, -20:] == 255).all()


def test_the_curve_and_the_marks_stand_where_the_times_are(tmp_path):
    tiles = [StripTile(frame(), 0.0), StripTile(frame(), 5.0)]
    image = draw(tmp_path / "a.png", [row(tiles)])
    rows, columns = where(image, BLUE)
    panel = rows > image.shape[0] - 24 - 44 - 200
    assert columns[panel].min() == pytest.approx(LEFT - 5, abs=2)
    assert columns[panel].max() == pytest.approx(RIGHT, abs=3)
    top = rows[panel].min()
    middle = columns[panel][rows[panel] <= top + 4]  # the mark on the highest score
    assert middle.mean() == pytest.approx((LEFT + RIGHT) / 2, abs=2)


def test_true_moments_are_bands_as_wide_as_the_tolerance(tmp_path):
    image = draw(tmp_path / "a.png", [row([])], moments_s=[5.0], tolerance_s=1.0)
    pale = np.nonzero((image == ImageColor.getrgb("#d6efe6")).all(axis=2))[1]
    pixels = (RIGHT - LEFT) / 10
    assert pale.min() == pytest.approx(LEFT + 4 * pixels, abs=2)
    assert pale.max() == pytest.approx(LEFT + 6 * pixels, abs=2)
    without = draw(tmp_path / "b.png", [row([])])
    assert not (without == ImageColor.getrgb("#d6efe6")).all(axis=2).any()


def test_stretches_are_bands_from_start_to_end(tmp_path):
    stretches = [(2.0, 4.0), (6.0, 6.2)]
    chosen = StripRow("chosen", [], (0.0, 5.0, 10.0), (0.1, 0.5, 0.2), BLUE, stretches)
    image = draw(tmp_path / "a.png", [chosen])
    pixels = np.bincount(where(image, "#dfecf6")[1], minlength=1320)
    columns = np.flatnonzero(pixels > 100)  # the edges of letters have the colour, too
    wide = columns[columns < LEFT + 0.5 * (RIGHT - LEFT)]
    assert wide.min() == pytest.approx(LEFT + 0.2 * (RIGHT - LEFT), abs=3)
    assert wide.max() == pytest.approx(LEFT + 0.4 * (RIGHT - LEFT), abs=3)
    assert (columns > LEFT + 0.5 * (RIGHT - LEFT)).any()


def test_right_and_wrong_are_told_by_shape_too(tmp_path):
    found = draw(tmp_path / "a.png", [row([StripTile(frame(), 1.0, hit=True)])])
    missed = draw(tmp_path / "b.png", [row([StripTile(frame(), 1.0, hit=False)])])
    unknown = draw(tmp_path / "c.png", [row([StripTile(frame(), 1.0)])])
    assert len(where(found, GREEN)[0]) > 300
    assert len(where(missed, VERMILION)[0]) > 300
    assert len(where(unknown, GREEN)[0]) == len(where(unknown, VERMILION)[0]) == 0
    tick = (found != unknown).any(axis=2)
    badge = np.s_[np.nonzero(tick)[0].min() :, np.nonzero(tick)[1].min() :]
    white = [(image[badge][:26, :26] == 255).all(axis=2) for image in (found, missed)]
    assert (white[0] != white[1]).sum() > 50


def test_rows_with_and_without_scores(tmp_path):
    rows = [
        row([StripTile(frame(), 1.0)], label="before"),
        row([StripTile(frame(), 2.0)], scores=(-0.3, -0.1, -0.2), colour=ORANGE, label="after"),
        row([StripTile(frame(), 2.5)], pts_s=(), scores=(), colour=GREEN, label="true frames"),
    ]
    image = draw(tmp_path / "a.png", rows, moments_s=[2.5], tolerance_s=0.5)
    blue, orange = (where(image, colour)[0].max() for colour in (BLUE, ORANGE))
    assert orange > blue  # one scale: the lower scores are drawn lower
    unscored = draw(tmp_path / "b.png", rows[2:])
    assert len(where(unscored, GREEN)[0]) > 100


def test_pictures_may_be_files_of_any_shape(tmp_path):
    tiles = []
    for number, (width, height) in enumerate([(1920, 1080), (90, 400), (1, 1), (16, 2000)]):
        Image.fromarray(frame(width, height)).save(tmp_path / f"{number}.png")
        tiles.append(StripTile(tmp_path / f"{number}.png", 1.0, "score 0.1\nframe 3"))
    image = draw(tmp_path / "a.png", [row(tiles)])
    assert image.shape == draw(tmp_path / "b.png", [row(tiles[1:2] * 4)]).shape


@pytest.mark.parametrize(
    "title", ["Khi nào vòng tròn đỏ xuất hiện? " * 12, "x" * 500, "질문" * 200]
)
def test_long_captions_take_more_lines(tmp_path, title):
    short = draw(tmp_path / "a.png", [row([])])
    image = draw(tmp_path / "b.png", [row([])], title=title, source="a/" * 200)
    assert image.shape[0] > short.shape[0] + 60
    assert (image[:, -20:] == 255).all()


def test_equal_scores_hours_and_times_past_the_end(tmp_path):
    times = np.arange(0, 7200, 0.5)
    flat = row([StripTile(frame(), 7300.0)], pts_s=times, scores=np.full(len(times), 0.2))
    image = draw(tmp_path / "a.png", [flat], length_s=7200.0, parts_s=[1800.0, 3600.0])
    rows, columns = where(image, BLUE)
    assert columns.max() <= 1320 - 24
    assert rows.max() < image.shape[0] - 24


def test_same_input_same_bytes(tmp_path):
    rows = [row([StripTile(frame(), 1.0, "score 0.1", hit=True)])]
    draw(tmp_path / "a.png", rows, moments_s=[2.0], tolerance_s=1.0)
    draw(tmp_path / "b.png", rows, moments_s=[2.0], tolerance_s=1.0)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()

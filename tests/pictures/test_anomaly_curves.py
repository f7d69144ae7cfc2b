import numpy as np
from PIL import Image

from pipeline_lib.pictures.anomaly_curves import Curve, draw_anomaly_curves

MODEL, CONTROL = (0, 114, 178), (230, 159, 0)
EMPTY = np.zeros(0)
UNDEFINED = Curve(EMPTY, EMPTY, EMPTY, EMPTY, None, None)
PERFECT = Curve(
    np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0]),
    np.array([0.0, 1.0]), np.array([1.0, 1.0]), 1.0, 1.0,
)  # fmt: skip
GUESS = Curve(
    np.array([0.0, 1.0]), np.array([0.0, 1.0]),
    np.array([0.0, 1.0]), np.array([1.0, 0.2]), 0.5, 0.2,
)  # fmt: skip


def where(path, colour):
    with Image.open(path) as image:
        found = np.asarray(image.convert("RGB")).astype(int)
    return np.argwhere(np.abs(found - colour).sum(axis=2) < 12)


def test_the_model_is_drawn_thick_and_reaches_the_corner(tmp_path):
    draw_anomaly_curves(tmp_path / "a.png", {"model": PERFECT, "guess": GUESS}, 0.2, "test")
    model, guess = where(tmp_path / "a.png", MODEL), where(tmp_path / "a.png", CONTROL)
    assert len(model) > 2 * len(guess) > 0
    # The highest line, at both ends of both plots: x of 0 and 1 on the left, and on the right.
    top = model[model[:, 0] <= model[:, 0].min() + 2][:, 1]
    assert (np.abs(np.subtract.outer([80, 460, 580, 960], top)).min(axis=1) < 6).all()


def test_the_precision_of_a_guess_holds_for_every_recall(tmp_path):
    draw_anomaly_curves(tmp_path / "a.png", {"model": GUESS}, 0.2, "test")
    curve = where(tmp_path / "a.png", MODEL)
    right = curve[(curve[:, 1] > 500) & (curve[:, 0] < 470)]
    assert np.ptp(right[:, 0]) <= 6
    assert np.ptp(right[:, 1]) > 360


def test_undefined_curves_keep_their_place_in_the_legend(tmp_path, recwarn):
    curves = {"쓰러짐 $x$": UNDEFINED, "_guess": GUESS}
    draw_anomaly_curves(tmp_path / "a.png", curves, None, "val")
    assert 0 < len(where(tmp_path / "a.png", MODEL)) < 600
    assert len(where(tmp_path / "a.png", CONTROL)) > 300
    assert not [warning for warning in recwarn if warning.category is UserWarning]


def test_the_same_curves_give_the_same_bytes(tmp_path):
    for name in ("a.png", "b.png"):
        draw_anomaly_curves(tmp_path / name, {"model": PERFECT, "guess": GUESS}, 0.2, "test")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()

import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline_lib.pictures.confusion import draw_confusion

COUNTS = np.array([[8, 2], [0, 0]])


def pixels_of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_the_same_matrix_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        draw_confusion(tmp_path / name, COUNTS, ("fall", "normal"), title="windows")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_colours_are_shares_of_the_row(tmp_path: Path) -> None:
    draw_confusion(tmp_path / "all.png", np.diag([1, 500]), ("fall", "normal"), title="")
    darkest = (pixels_of(tmp_path / "all.png") == (8, 48, 107)).all(axis=2).sum()
    draw_confusion(tmp_path / "one.png", np.diag([0, 500]), ("fall", "normal"), title="")
    assert darkest > 1.5 * (pixels_of(tmp_path / "one.png") == (8, 48, 107)).all(axis=2).sum()


def test_many_classes_are_drawn_without_numbers(tmp_path: Path) -> None:
    names = tuple(f"class_{index}" for index in range(41))
    draw_confusion(tmp_path / "many.png", np.eye(41, dtype=int), names, title="")
    assert pixels_of(tmp_path / "many.png").shape[1] > 1500


def test_names_in_any_script_are_drawn_without_a_warning(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_confusion(tmp_path / "ko.png", COUNTS, ("쓰러짐", "normal"), title="")

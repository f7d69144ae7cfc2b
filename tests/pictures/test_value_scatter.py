import numpy as np

from pipeline_lib.pictures.value_scatter import draw_value_scatter

ACTUAL, PREDICTED = np.array([0.0, 1.0, 2.0]), np.array([0.5, 0.5, 1.5])


def test_the_same_values_give_the_same_bytes(tmp_path):
    for name in ("one.png", "two.png"):
        draw_value_scatter(tmp_path / name, ACTUAL, PREDICTED, "test: 3 $ videos", 1.0)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    draw_value_scatter(tmp_path / "three.png", ACTUAL, PREDICTED, "test: 3 $ videos", None)
    assert (tmp_path / "three.png").read_bytes() != (tmp_path / "two.png").read_bytes()


def test_equal_values_have_a_place(tmp_path):
    draw_value_scatter(tmp_path / "one.png", np.ones(2), np.ones(2), "title", 1.0)
    assert (tmp_path / "one.png").exists()

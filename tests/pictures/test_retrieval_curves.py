import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline_lib.errors import DataError
from pipeline_lib.pictures.figures import BLUE, GREEN, ORANGE
from pipeline_lib.pictures.retrieval_curves import draw_retrieval_recall

TABLE = pd.DataFrame(
    {
        "k": [1, 5, 10],
        "tempme_stop": [50.0, 80.0, 90.0],
        "zero_shot": [10.0, 20.0, 30.0],
        "shuffled": [None] * 3,
    }
)


def rows_of(path, colour, half):
    """Heights of the pixels of one colour in the axes of the left or right panel, from above."""
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    left = half * pixels.shape[1] // 2
    inside = pixels[:, left : left + int(0.33 * pixels.shape[1])]
    return np.argwhere(np.abs(inside - wanted).sum(axis=2) < 12)[:, 0]


def test_both_panels_show_the_model_above_its_controls(tmp_path):
    worse = TABLE.assign(tempme_stop=[0.0, 1.0, 2.0])
    draw_retrieval_recall(tmp_path / "a.png", {"texts": TABLE, "videos": worse}, "t")
    model, control = (rows_of(tmp_path / "a.png", colour, 0) for colour in (BLUE, ORANGE))
    assert len(model) > len(control) > 100  # the model is drawn thick
    assert model.max() < control.min()
    assert rows_of(tmp_path / "a.png", BLUE, 1).min() > rows_of(tmp_path / "a.png", ORANGE, 1).max()
    assert len(rows_of(tmp_path / "a.png", GREEN, 0)) == 0  # undefined


def test_a_table_read_back_from_a_file_gives_the_same_bytes(tmp_path):
    TABLE.to_csv(tmp_path / "table.csv", index=False)
    back = pd.read_csv(tmp_path / "table.csv")
    for name, table in (("a", TABLE), ("b", back)):
        panels = {"texts find videos": table, "videos find texts": table}
        draw_retrieval_recall(tmp_path / f"{name}.png", panels, "쓰러짐 $x$")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_gallery_of_one_is_drawn(tmp_path, recwarn):
    draw_retrieval_recall(tmp_path / "a.png", {"texts": TABLE[:1], "videos": TABLE[:1]}, "t")
    assert not [warning for warning in recwarn if warning.category is UserWarning]


def test_a_table_that_says_nothing_is_refused(tmp_path):
    with pytest.raises(DataError, match="recalls has nothing to draw"):
        draw_retrieval_recall(tmp_path / "a.png", {"texts": TABLE[:0]}, "t")
    assert not (tmp_path / "a.png").exists()

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline_lib.errors import DataError
from pipeline_lib.pictures.figures import BLUE, GREEN, ORANGE
from pipeline_lib.pictures.sim_m_curve import draw_recall_at_k, draw_sim_m

STEPS = np.round(np.arange(0.8, 1.0001, 0.005), 3)
SIM = pd.DataFrame(
    {
        "m": STEPS,
        "fine_tuned": np.linspace(0.9, 0.5, len(STEPS)),
        "zero_shot": np.linspace(0.4, 0.1, len(STEPS)),
        "shuffled": [None] * len(STEPS),
    }
)
RECALL = pd.DataFrame({"k": [1, 2, 8], "fine_tuned": [0.6, 0.7, 0.9], "zero_shot": [0.1, 0.2, 0.3]})


def rows_of(path: Path, colour: str) -> np.ndarray:
    """Heights of the pixels of one colour inside the axes, from above."""
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    inside = pixels[:, : int(0.7 * pixels.shape[1])]
    return np.argwhere(np.abs(inside - wanted).sum(axis=2) < 12)[:, 0]


def test_higher_is_better(tmp_path):
    draw_sim_m(tmp_path / "a.png", SIM, "t", thresholds=(0.95, 0.99))
    draw_recall_at_k(tmp_path / "b.png", RECALL, "t", k=2)
    for name in ("a.png", "b.png"):
        model, control = (rows_of(tmp_path / name, colour) for colour in (BLUE, ORANGE))
        assert len(model) > len(control) > 100  # the model is drawn thick
        assert model.max() < control.min()


def test_an_undefined_control_leaves_its_line_in_the_legend_only(tmp_path):
    draw_sim_m(tmp_path / "a.png", SIM, "t")
    assert len(rows_of(tmp_path / "a.png", GREEN)) == 0


def test_a_table_read_back_from_a_file_gives_the_same_bytes(tmp_path):
    for draw, table in ((draw_sim_m, SIM), (draw_recall_at_k, RECALL)):
        table.to_csv(tmp_path / "table.csv", index=False)
        draw(tmp_path / "a.png", table, "쓰러짐 $x$")
        draw(tmp_path / "b.png", pd.read_csv(tmp_path / "table.csv"), "쓰러짐 $x$")
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_single_points_and_many_choosers_are_drawn(tmp_path, recwarn):
    many = pd.DataFrame({"k": [4], **{f"chooser_{n}": [n / 12] for n in range(12)}})
    draw_recall_at_k(tmp_path / "a.png", many, "t", k=3)
    draw_sim_m(tmp_path / "b.png", many.rename(columns={"k": "m"}), "t")
    assert not [warning for warning in recwarn if warning.category is UserWarning]
    assert len(rows_of(tmp_path / "a.png", BLUE)) > 0


def test_tables_that_say_nothing_are_refused(tmp_path):
    with pytest.raises(DataError, match="no column k"):
        draw_recall_at_k(tmp_path / "a.png", SIM, "t")
    with pytest.raises(DataError, match="no column m"):
        draw_sim_m(tmp_path / "a.png", RECALL, "t")
    for table in (SIM.iloc[:0], SIM[["m"]]):
        with pytest.raises(DataError, match="nothing to draw"):
            draw_sim_m(tmp_path / "a.png", table, "t")
    assert not (tmp_path / "a.png").exists()

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline_lib.errors import DataError
from pipeline_lib.pictures.few_shot import draw_few_shot

FIRST, SECOND = (0, 114, 178), (230, 159, 0)


def table(*rows):
    return pd.DataFrame(rows, columns=["shots", "model", "mean", "std"])


FULL = table(
    (1, "prompts", 0.5, 0.1), (2, "prompts", 0.6, 0.1), (16, "prompts", 0.7, 0.0),
    ("all", "prompts", 0.9, None), (1, "probe", 0.4, None), (16, "probe", 0.7, None),
    (0, "zero-shot", 0.45, None), (0, "chance", 0.25, None),
)  # fmt: skip


def where(path, colour):
    with Image.open(path) as image:
        found = np.asarray(image.convert("RGB")).astype(int)
    return np.argwhere(np.abs(found - colour).sum(axis=2) < 12)


def test_places_are_the_logarithm_of_the_shots_and_all_comes_last(tmp_path):
    shots = table(*((shots, "m", 0.5, None) for shots in (1, 2, 16, "all")))
    draw_few_shot(tmp_path / "a.png", shots, "test")
    found = where(tmp_path / "a.png", FIRST)
    thick = np.bincount(found[:, 1]) >= 8
    centres = [part.mean() for part in np.split(np.flatnonzero(thick), 1 + np.flatnonzero(
        np.diff(np.flatnonzero(thick)) > 1))]  # fmt: skip
    steps = np.diff(centres)
    np.testing.assert_allclose(steps / steps[0], [1, 3, 1], atol=0.05)


def test_higher_is_better(tmp_path):
    draw_few_shot(tmp_path / "a.png", FULL, "test")
    first, second = where(tmp_path / "a.png", FIRST), where(tmp_path / "a.png", SECOND)
    assert first[:, 0].min() < second[:, 0].min()
    assert second[:, 0].max() > first[:, 0].max()


def test_a_table_read_back_from_a_file_gives_the_same_bytes(tmp_path):
    FULL.to_csv(tmp_path / "table.csv", index=False)
    draw_few_shot(tmp_path / "a.png", FULL, "test")
    draw_few_shot(tmp_path / "b.png", pd.read_csv(tmp_path / "table.csv"), "test")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_undefined_points_are_left_out_and_levels_alone_are_drawn(tmp_path, recwarn):
    draw_few_shot(
        tmp_path / "a.png", table((2, "쓰러짐 $x$", 0.5, None), (4, "m", None, None)), "t"
    )
    draw_few_shot(tmp_path / "b.png", table((0, "chance", 0.5, None)), "t")
    draw_few_shot(tmp_path / "c.png", table(("all", "m", 0.5, 0.1)), "t")
    assert len(where(tmp_path / "a.png", FIRST)) > 0
    assert len(where(tmp_path / "b.png", FIRST)) == 0
    assert len(where(tmp_path / "c.png", FIRST)) > 0
    assert not [warning for warning in recwarn if warning.category is UserWarning]


def test_tables_that_say_nothing_are_refused(tmp_path):
    with pytest.raises(DataError, match="no column mean, std"):
        draw_few_shot(tmp_path / "a.png", FULL[["shots", "model"]], "t")
    with pytest.raises(DataError, match="'few' shots"):
        draw_few_shot(tmp_path / "a.png", table(("few", "m", 0.5, None)), "t")
    with pytest.raises(DataError, match="no defined point"):
        draw_few_shot(tmp_path / "a.png", table((1, "m", None, None)), "t")
    assert not (tmp_path / "a.png").exists()

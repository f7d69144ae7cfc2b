from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline_lib.evaluation import Outputs
from pipeline_lib.evaluation.pos_neg.drawn import GAIN, LOSS, SPREAD, pick_examples
from tests.evaluation.pos_neg.project import (
    CONFIG,
    POS_NEG,
    broken,
    evaluate,
    models,
    row,
    write_videos,
)

ONE, TWO = "test/a/one.mp4", "test/a/two.mp4"
ITEMS = (
    row("gained", 42, video=ONE),
    row("lost", 41, about=22, video=TWO),  # asked for 22, which was 42 before
    row("same", 20, about=22, video=TWO),
    row("val", 42, video="val/a/three.mp4"),
)


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pos_neg") / "videos"
    write_videos(root, (ONE, TWO, "val/a/three.mp4"))
    broken(root, "test/a/garbage.mp4")
    return root


def files(folder: Path) -> dict[str, bytes]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_everything_is_written_twice_the_same(videos, tmp_path):
    for name in ("a", "b"):
        evaluation = evaluate(videos, *ITEMS, splits=("val", "test"))
        evaluation.write(Outputs.under(tmp_path / name, "pos_neg"))
    first = files(tmp_path / "a")
    assert sorted(first) == [
        "items.parquet",
        "plots/recall_at_k.csv",
        "plots/recall_at_k.png",
        "plots/sim_m.csv",
        "plots/sim_m.png",
        "plots/top_frames/gained.png",
        "plots/top_frames/lost.png",
        "plots/top_frames/same.png",
        "pos_neg.json",
    ]
    assert files(tmp_path / "b") == first


def test_the_tables_of_plots_are_of_the_last_split_with_items(videos, tmp_path):
    evaluation = evaluate(videos, *ITEMS, splits=("val", "test"))
    evaluation.write(Outputs.under(tmp_path, "pos_neg"))
    test = evaluation.metrics["test"]
    recall = pd.read_csv(tmp_path / "plots/recall_at_k.csv").set_index("k")
    assert recall.columns.tolist() == ["fine_tuned", "zero_shot", "uniform", "chance", "shuffled"]
    assert recall.fine_tuned.tolist() == pytest.approx(
        [test["recall"]["at_1"], test["recall"]["at_4"]]
    )
    sim = pd.read_csv(tmp_path / "plots/sim_m.csv").set_index("m")
    assert len(sim) == 41 + 2  # 0.80 to 1.00, and two thresholds between its steps
    assert sim.index.is_monotonic_increasing
    assert sim.chance[0.998] == pytest.approx(test["control"]["chance"]["sim_m"]["m99_8"])
    assert (sim.diff().dropna() <= 1e-12).all().all()
    only_val = evaluate(videos, ITEMS[3], splits=("val", "test"))
    only_val.write(Outputs.under(tmp_path / "val", "pos_neg"))
    assert [path.name for path in (tmp_path / "val/plots/top_frames").iterdir()] == ["val.png"]


def test_a_picture_shows_frames_of_three_rows(videos, tmp_path):
    evaluate(videos, *ITEMS).write(Outputs.under(tmp_path, "pos_neg"))
    with Image.open(tmp_path / "plots/top_frames/gained.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    for colour in ((230, 159, 0), (0, 114, 178), (0, 158, 115)):  # borders of the rows
        assert (np.abs(pixels - colour).sum(axis=2) < 6).sum() > 1000


def test_examples_are_those_that_changed_most_and_some_of_every_caption(videos):
    measured = evaluate(videos, *ITEMS).measured["test"]

    def picked(most):
        return [(e.measured.item.id, e.reason) for e in pick_examples(measured, most, 0.1)]

    assert picked(4) == [("gained", GAIN), ("lost", LOSS), ("same", SPREAD)]
    assert picked(2) == [("gained", GAIN), ("lost", SPREAD)]
    assert picked(0) == []
    unchanged = evaluate(videos, *ITEMS, using=models(wrong=0)).measured["test"]
    examples = pick_examples(unchanged, 2, 0.1)
    # One of each caption before a second one of any.
    assert [(e.measured.item.id, e.reason) for e in examples] == [
        ("lost", SPREAD),
        ("gained", SPREAD),
    ]


def test_failures_are_listed_and_an_older_list_goes(videos, tmp_path):
    outputs = Outputs.under(tmp_path, "pos_neg")
    bad = row("bytes", 3, video="test/a/garbage.mp4")
    evaluation = evaluate(videos, *ITEMS, bad)
    evaluation.write(outputs)
    listed = pd.read_csv(tmp_path / "failures.csv")
    assert listed.id.tolist() == ["bytes"]
    assert listed.columns.tolist() == ["id", "video_path", "reason", "message"]
    evaluate(videos, *ITEMS).write(outputs)
    assert not (tmp_path / "failures.csv").exists()


def test_no_examples_are_wanted(videos, tmp_path):
    config = replace(CONFIG, pos_neg=replace(POS_NEG, examples=0))
    evaluate(videos, *ITEMS, config=config).write(Outputs.under(tmp_path, "pos_neg"))
    assert list((tmp_path / "plots/top_frames").iterdir()) == []

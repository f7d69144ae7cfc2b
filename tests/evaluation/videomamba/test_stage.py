"""The command, on a small project with real networks of random weights."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pipeline_lib.errors import BatchError, ConfigError, DataError, WeightsError
from pipeline_lib.evaluation.videomamba.models import load_contenders
from pipeline_lib.params_file import load_params
from stages.evaluate import app
from tests.evaluation.videomamba.project import (
    CLASSES,
    MODELS,
    write_lists,
    write_network,
    write_params,
    write_project,
)
from tests.support.video_files import garbage

METRICS = Path("metrics/videomamba.json")
TABLES = Path("data/evaluation/videomamba")
PLOTS = Path("metrics/plots/videomamba")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        write_project()
    return root


@pytest.fixture
def project(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")


def run(*options):
    result = CliRunner().invoke(app, ["videomamba", *options])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def written():
    folders = (Path("metrics"), Path("data/evaluation"))
    found = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in found}


def test_the_whole_stage_twice(project):
    write_params({"frame_backbone": "clip"})
    output = run()
    assert "test.video.accuracy" in output
    first = written()
    metrics = json.loads(METRICS.read_text())
    assert list(metrics) == ["val", "test", "model"]
    test = metrics["test"]
    assert (test["videos"], test["views"], test["missing"]) == (6, 6 * 2 * 3, 0)
    assert list(test["control"]) == [
        "chance", "majority", "random_init", "reversed", "shuffled_frames", "scratch",
        "frame_model",
    ]  # fmt: skip
    for control in test["control"].values():
        assert set(control["video"]) == set(test["video"]) - {"recall"}
    assert test["control"]["majority"]["video"]["accuracy"] == pytest.approx(1 / 3)
    assert set(test["gain"]) == set(test["control"]) - {"chance", "majority"}
    model = metrics["model"]
    assert (model["tokens"], model["segments"], model["crops"]) == (17, 2, 3)
    assert len(list((PLOTS / "examples").glob("*.png"))) == 2
    run()
    assert written() == first


def test_predictions_tell_where_the_numbers_come_from(project):
    run("--split", "test", "--out", "own")
    table = pd.read_parquet("own/predictions.parquet")
    told = json.loads(Path("own/videomamba.json").read_text())["test"]
    assert table.video.tolist() == [f"test/{name}/{n}.mp4" for name in CLASSES for n in (0, 1)]
    assert table.label.tolist() == [name for name in CLASSES for _ in range(2)]
    assert told["video"]["accuracy"] == (table.label.astype(str) == table.predicted).mean()
    scratch = table["predicted.scratch"].astype(str)
    assert told["control"]["scratch"]["video"]["accuracy"] == (table.label == scratch).mean()
    shares = table[[f"probability.{name}" for name in CLASSES]].to_numpy()
    assert shares.sum(axis=1) == pytest.approx(np.ones(6))
    assert not METRICS.exists()


def test_one_view_of_every_video(project):
    write_params({"segments": 1, "crops": 1})
    run("--split", "test", "--out", "own")
    told = json.loads(Path("own/videomamba.json").read_text())["test"]
    assert told["views"] == 6
    assert told["view"] == {name: told["video"][name] for name in told["view"]}


def test_the_preset_says_how_many_views(project):
    write_params({"segments": None, "crops": None}, preset="ssv2")
    run("--split", "val", "--out", "own")
    told = json.loads(Path("own/videomamba.json").read_text())
    assert told["val"]["views"] == 3 * 2 * 3


def test_best_is_evaluated_unless_told_otherwise(project):
    write_params({"checkpoint": "final"})
    with pytest.raises(WeightsError, match="final"):
        run()
    shutil.copytree(MODELS / "best", MODELS / "final")
    run()
    told = json.loads(METRICS.read_text())
    # No control was trained as long as the last epoch.
    assert "scratch" not in told["test"]["control"]


def test_windows_of_long_videos_are_averaged(project):
    # Of 0.9 to 1.9 s: windows of 1 s that start every half second.
    write_params(dataset={"trimmed_s": 1.0, "time_stride_s": 0.5})
    run("--split", "test", "--out", "own")
    told = json.loads(Path("own/videomamba.json").read_text())["test"]
    table = pd.read_parquet("own/predictions.parquet")
    assert told["videos"] == len(table) == 6
    assert told["views"] == table.views.sum() > 6 * 6


def test_values_beside_constant_ones(project):
    values = {"train": range(6), "val": (1, 2, 3), "test": (0.5, -1, 2, 0, 1, 4)}
    write_lists(values)
    write_network(MODELS / "best", None, outputs=1, task="regression")
    shutil.rmtree(MODELS / "scratch")
    write_params({"frame_backbone": "clip"}, task="regression", dataset={"format": "videos"})
    run()
    test = json.loads(METRICS.read_text())["test"]
    table = pd.read_parquet(TABLES / "predictions.parquet").query("split == 'test'")
    assert test["video"]["mse"] == pytest.approx(((table.predicted - table.label) ** 2).mean())
    control = test["control"]
    true = np.array(values["test"])
    assert control["zero"]["video"]["mse"] == pytest.approx((true**2).mean())
    assert control["constant"]["video"]["mse"] == pytest.approx(((true - 2.5) ** 2).mean())
    assert "frame_model" not in control
    assert {path.name for path in PLOTS.iterdir()} == {
        "examples", "mse.csv", "mse.png", "values.csv", "values.png",
    }  # fmt: skip


def test_classes_are_matched_by_name(project):
    run("--split", "test", "--out", "before")
    order = ("up", "down", "left")
    write_network(MODELS / "best", order)
    shutil.rmtree(MODELS / "scratch")
    run("--split", "test", "--out", "after")
    before, after = (
        pd.read_parquet(f"{folder}/predictions.parquet") for folder in ("before", "after")
    )
    assert after.label.tolist() == before.label.tolist()
    # The same outputs under other names.
    for name, renamed in zip(CLASSES, order, strict=True):
        found, wanted = (before[f"probability.{name}"], after[f"probability.{renamed}"])
        assert wanted.tolist() == found.tolist()


def test_broken_videos_are_listed_and_counted(project):
    garbage(Path("data/own/videos/test/left/1.mp4"))
    run()
    test = json.loads(METRICS.read_text())["test"]
    assert (test["videos"], test["missing"]) == (5, 1)
    failures = pd.read_csv(TABLES / "failures.csv")
    assert failures[["split", "id"]].values.tolist() == [["test", "test/left/1.mp4"]]
    write_params(dataset={"on_missing": "stop"})
    with pytest.raises(BatchError, match="1 of 9 videos could not be watched") as caught:
        run()
    assert "data/evaluation/videomamba/failures.csv" in str(caught.value)
    assert json.loads(METRICS.read_text())["test"] == test
    write_params(data={"exclude": ["test/left/1.mp4"]})
    run()
    assert not (TABLES / "failures.csv").exists()


def test_nothing_readable_is_an_error(project):
    for path in Path("data/own/videos/test").rglob("*.mp4"):
        garbage(path)
    with pytest.raises(DataError, match="None of 6 videos"):
        run("--split", "test")


def test_a_split_that_is_not_there_is_left_out_unless_asked_for(project, caplog):
    shutil.rmtree("data/own/videos/val")
    write_params({"frame_backbone": "clip"})
    run()
    assert "val" not in json.loads(METRICS.read_text())
    assert "no control frame_model" in caplog.text
    with pytest.raises(DataError, match="val"):
        run("--split", "val")


def test_training_videos_are_not_needed_and_told_where_they_are_tested(project, caplog):
    run("--split", "train", "--out", "own")
    assert "train: 6 of 6 videos are training videos too" in caplog.text
    shutil.rmtree("data/own/videos/train")
    run("--split", "test", "--out", "own")
    assert "no control that counts training videos" in caplog.text
    told = json.loads(Path("own/videomamba.json").read_text())["test"]
    assert "majority" not in told["control"]


def test_misuse_is_one_clear_line(project):
    for error, match, options in (
        (ConfigError, "not evaluated on packed windows", ("--windows", "data/windows/clip")),
        (ConfigError, "Unknown split 'tset'", ("--split", "tset")),
        (WeightsError, "gone", ("--checkpoint", "gone")),
    ):
        with pytest.raises(error, match=match) as caught:
            run(*options)
        assert caught.value.hint
        assert written() == {}


def test_networks_of_other_videos_are_refused(project):
    for options, error, match in (
        ({"classes": ("a", "b", "c")}, DataError, "Class 'down' of the videos is no class of"),
        ({"classes": None, "outputs": 4}, WeightsError, "4 outputs without names, .* 3 classes"),
        ({"classes": None, "outputs": 3, "task": "regression"}, ConfigError, "for regression"),
    ):
        shutil.rmtree(MODELS)
        write_network(MODELS / "best", **options)
        with pytest.raises(error, match=match):
            run()
        assert written() == {}


def test_the_scan_of_the_parameters_reaches_every_network(project):
    params = load_params(Path("params.yaml"))
    chosen = replace(params, runtime=replace(params.runtime, scan="torch"))
    for name, contender in load_contenders(MODELS / "best", chosen).items():
        scans = {layer.mixer.scan for layer in contender.model.network.layers}
        assert scans == {"torch"}, name


def test_a_control_of_another_network_is_refused(project):
    write_network(MODELS / "scratch" / "best", ("left", "down", "up"))
    with pytest.raises(WeightsError, match="of different trainings"):
        run()

"""From a folder of videos to metrics, with nothing but `clipline init` and `dvc repro`."""

import shutil

import pytest

from pipeline_lib.config import DemoDataConfig, DemoMotionsConfig, KindsPerSplit, VideosPerClass
from pipeline_lib.demo.dataset import write_demo_data
from pipeline_lib.params_file import load_params
from tests.support.project import checkout

pytestmark = pytest.mark.slow

SMALL = DemoDataConfig(
    seconds=6.0,
    videos_per_class=VideosPerClass(train=4, val=1, test=1),
    motions=DemoMotionsConfig(
        kinds=KindsPerSplit(train=1, val=1, test=1), repeats=1, seconds=1.0, width=64, height=32
    ),
)


def test_a_folder_of_class_folders_becomes_metrics(tmp_path):
    write_demo_data(tmp_path / "rendered", SMALL)
    mine = tmp_path / "mine"
    for name in ("normal", "stop_light", "go_light"):
        for path in sorted((tmp_path / "rendered/videos").glob(f"*/{name}/*.mp4")):
            (mine / name).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, mine / name / path.name)
        if name != "normal":
            (mine / "annotations").mkdir(exist_ok=True)
            shutil.copy(
                tmp_path / f"rendered/annotations/{name}_timestamp.csv", mine / "annotations"
            )
    before = {path: path.stat().st_mtime_ns for path in sorted(mine.rglob("*"))}
    project = checkout(tmp_path / "project")
    said = project.run("python", "stages/init.py", str(mine), "--into", "data/own")
    assert "0 errors" in said
    assert "evaluate-coop" in said
    assert project.run("git", "status", "--short").split() == [
        "M", "params.yaml", "??", "data/own/",
    ]  # fmt: skip
    assert load_params(project.folder / "params.yaml").data.root == "data/own"
    output = project.run("dvc", "repro", "evaluate-coop")
    assert "extract@clip" in project.ran(output)
    assert "demo-data" not in project.ran(output)
    metrics = project.json("metrics/coop.json")
    assert 0 <= metrics["test"]["frame"]["balanced_accuracy"] <= 1
    assert metrics["test"]["control"]["zero_shot"]["frame"]["balanced_accuracy"] is not None
    counts = project.json("metrics/windows.json")
    assert f"{counts['train']['windows']:>8} {counts['train']['kept']:>8}" in said
    assert {path: path.stat().st_mtime_ns for path in sorted(mine.rglob("*"))} == before

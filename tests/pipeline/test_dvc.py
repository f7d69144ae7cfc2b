"""The pipeline as DVC runs it: a small copy of this checkout in a repository of its own."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent.parent
SMALL = {
    "data": {"root": "data/demo"},
    "demo_data": {"videos_per_class": {"train": 2, "val": 1, "test": 1}, "seconds": 8.0},
    "train": {"epochs": 3, "n_ctx": 2},
    "evaluate": {"timelines": 2},
    "few_shot": {"shots": [1, 2], "seeds": [1]},
}

pytestmark = pytest.mark.slow


class Project:
    """One checkout with its own git repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *command: str, code: int | None = 0) -> str:
        """Run a command in the project; returns stdout and stderr together."""
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "COLUMNS": "400",
            "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org",
            "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.org",
        }  # fmt: skip
        done = subprocess.run(
            command, cwd=self.folder, env=environment, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert code is None or done.returncode == code, f"{command}:\n{done.stdout}"
        return done.stdout

    def commit(self, message: str) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", message)

    def ran(self, output: str) -> list[str]:
        """The stages that DVC says it ran."""
        return re.findall(r"Running stage '([^']+)'", output)

    def json(self, path: str) -> dict:
        return json.loads((self.folder / path).read_text())


def checkout(folder: Path) -> Project:
    """Copy what git tracks (or would), with small parameters, into a new repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT, text=True, capture_output=True, check=True,
    ).stdout  # fmt: skip
    for name in listed.splitlines():
        if name.startswith("tests/") or not (ROOT / name).is_file():
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    yaml = YAML()
    params = yaml.load(folder / "params.yaml")
    for section, values in SMALL.items():
        params[section].update(values)
    yaml.dump(params, folder / "params.yaml")
    project = Project(folder)
    project.run("git", "init", "-q")
    project.commit("small copy")
    return project


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The small copy after one `dvc repro`, committed. Tests that change it take a copy."""
    project = checkout(tmp_path_factory.mktemp("base") / "project")
    project.run("dvc", "repro")
    project.commit("first run")
    return project


@pytest.fixture
def project(finished, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project")


def test_a_second_repro_does_nothing(finished):
    assert "up to date" in finished.run("dvc", "status")
    output = finished.run("dvc", "repro")
    assert finished.ran(output) == []
    assert finished.run("git", "status", "--short") == ""


def test_every_metric_stands_beside_its_controls(finished):
    metrics = finished.json("metrics/coop.json")
    for split in ("val", "test"):
        assert 0 <= metrics[split]["frame"]["balanced_accuracy"] <= 1
        controls = metrics[split]["control"]
        assert list(controls) == [
            "chance", "majority", "zero_shot", "linear_probe", "shuffled", "random_init",
        ]  # fmt: skip
        for control in controls.values():
            assert control["frame"]["balanced_accuracy"] is not None
            assert control["video"]["accuracy"] is not None
            assert control["anomaly"]["auc"] is not None


def test_an_experiment_reruns_training_and_evaluation_only(project):
    output = project.run("dvc", "exp", "run", "-n", "four", "-S", "train.n_ctx=4")
    assert project.ran(output) == ["train-coop", "evaluate-coop"]
    diff = project.run("dvc", "metrics", "diff", "--all")
    assert "test.frame.balanced_accuracy" in diff
    shown = project.run("dvc", "exp", "show", "--csv", "--no-pager")
    assert "train.n_ctx" in shown
    assert "four" in shown
    html = project.run("dvc", "plots", "diff", "HEAD", "workspace", "-o", "plots")
    assert "index.html" in html
    page = (project.folder / "plots" / "index.html").read_text()
    assert "val_balanced_accuracy" in page


def test_an_experiment_with_several_seeds_puts_their_spread_into_the_metrics(project):
    output = project.run("dvc", "exp", "run", "-S", "train.seeds=[1,2]")
    assert project.ran(output) == ["train-coop", "evaluate-coop"]
    assert (project.folder / "data/models/coop/seed_2/coop_best.safetensors").is_file()
    for split in ("val", "test"):
        seeds = project.json("metrics/coop.json")[split]["seeds"]
        assert seeds["n"] == 2
        assert seeds["frame"]["balanced_accuracy"]["std"] is not None
    assert "test.seeds.frame.accuracy.mean" in project.run("dvc", "metrics", "diff", "--all")


def test_the_way_windows_are_pooled_packs_them_again_and_labels_none(project):
    output = project.run("dvc", "exp", "run", "-S", "train.temporal_agg=max")
    assert project.ran(output) == ["pack-windows", "train-coop", "evaluate-coop"]


def test_the_few_shot_curve_is_drawn_on_request_and_compared(project):
    project.run("python", "stages/few_shot.py")
    tree = project.json("metrics/few_shot.json")["test"]
    assert list(tree) == ["shots_1", "shots_2", "control"]
    assert tree["shots_1"]["balanced_accuracy_std"] is None
    first = (project.folder / "metrics/few_shot.json").read_bytes()
    project.run("python", "stages/few_shot.py")
    assert (project.folder / "metrics/few_shot.json").read_bytes() == first
    assert "test.shots_2.balanced_accuracy" in project.run("dvc", "metrics", "show")
    assert project.ran(project.run("dvc", "repro")) == []


def test_going_back_costs_nothing(project):
    project.run("dvc", "exp", "run", "-S", "train.n_ctx=4")
    output = project.run("dvc", "exp", "run", "-S", "train.n_ctx=2")
    assert project.ran(output) == []


def test_an_experiment_in_a_copy_uses_the_copys_code(project):
    library = project.folder / "pipeline_lib" / "evaluation" / "__init__.py"
    library.write_text(library.read_text() + "\nraise ImportError('the edited copy')\n")
    output = project.run(
        "dvc", "exp", "run", "--temp", "-S", "evaluate.video_pooling=max", code=None
    )
    assert "the edited copy" in output


def test_push_clone_pull(project, tmp_path):
    project.run("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    project.commit("remote")
    project.run("dvc", "push")
    project.run("git", "clone", "-q", str(project.folder), str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    clone.run("dvc", "pull")
    assert "up to date" in clone.run("dvc", "status")
    assert clone.ran(clone.run("dvc", "repro")) == []
    assert clone.run("git", "status", "--short") == ""


def test_one_more_video_extracts_one(project):
    videos = project.folder / "data" / "demo" / "videos"
    first = sorted((videos / "train" / "normal").iterdir())[0]
    own = project.folder / "data" / "own"
    shutil.copytree(project.folder / "data" / "demo", own)
    params = project.folder / "params.yaml"
    params.write_text(params.read_text().replace("root: data/demo", "root: data/own"))
    project.run("dvc", "repro", "extract@clip")
    shutil.copy(first, own / "videos" / "train" / "normal" / "one_more.mp4")
    output = project.run("dvc", "repro", "extract@clip")
    assert "1 extracted" in output
    assert "24 kept" in output


def test_a_corrupt_video_stops_the_stage_and_leaves_no_hole(project):
    own = project.folder / "data" / "own"
    shutil.copytree(project.folder / "data" / "demo", own)
    params = project.folder / "params.yaml"
    params.write_text(params.read_text().replace("root: data/demo", "root: data/own"))
    (own / "videos" / "train" / "normal" / "broken.mp4").write_bytes(b"no video" * 99)
    output = project.run("dvc", "repro", "extract@clip", code=255)
    assert "1 of 25 videos could not be extracted" in output
    assert "broken.mp4" in (project.folder / "data/features/clip/failures.csv").read_text()
    assert "extract@clip" in project.run("dvc", "status", "extract@clip")
    text = params.read_text()
    params.write_text(text.replace("exclude: []", "exclude: [train/normal/broken.mp4]"))
    assert "24 kept" in project.run("dvc", "repro", "extract@clip")
    assert not (project.folder / "data/features/clip/failures.csv").exists()


def test_a_misspelt_parameter_is_named(project):
    output = project.run("dvc", "exp", "run", "-S", "train.nctx=4", code=255)
    assert "train.nctx" in output
    params = project.folder / "params.yaml"
    params.write_text(params.read_text().replace("csc: false", "ccs: false"))
    output = project.run("python", "stages/train.py", "coop", code=2)
    assert "train.ccs is not a parameter" in output
    assert "'csc'" in output


def test_another_python_is_told_apart(project):
    system = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if system is None:
        pytest.skip("no second Python on this machine")
    probe = subprocess.run([system, "-c", "import typer"], check=False, capture_output=True)
    if probe.returncode == 0:
        pytest.skip("the second Python has the packages too")
    output = project.run(system, "stages/train.py", "coop", code=2)
    assert "not the project's Python" in output
    assert "source .venv/bin/activate" in output

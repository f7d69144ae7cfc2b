"""The pipeline as DVC runs it: a small copy of this checkout in a repository of its own."""

import shutil
import subprocess

import pytest

pytestmark = pytest.mark.slow


def test_a_second_repro_does_nothing(project):
    assert "up to date" in project.run("dvc", "status")
    output = project.run("dvc", "repro")
    assert project.ran(output) == []
    assert project.run("git", "status", "--short") == ""


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
    assert project.ran(output) == ["train-coop", "evaluate-coop", "report"]
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
    assert project.ran(output) == ["train-coop", "evaluate-coop", "report"]
    assert (project.folder / "data/models/coop/seed_2/coop_best.safetensors").is_file()
    for split in ("val", "test"):
        seeds = project.json("metrics/coop.json")[split]["seeds"]
        assert seeds["n"] == 2
        assert seeds["frame"]["balanced_accuracy"]["std"] is not None
    assert "test.seeds.frame.accuracy.mean" in project.run("dvc", "metrics", "diff", "--all")


def test_the_way_windows_are_pooled_packs_them_again_and_labels_none(project):
    output = project.run("dvc", "exp", "run", "-S", "train.temporal_agg=max")
    assert project.ran(output) == ["pack-windows", "train-coop", "evaluate-coop", "report"]


def test_the_few_shot_curve_is_drawn_on_request_and_compared(project):
    project.run("python", "stages/few_shot.py")
    tree = project.json("metrics/few_shot.json")["test"]
    assert list(tree) == ["shots_1", "shots_2", "control"]
    assert tree["shots_1"]["balanced_accuracy_std"] is None
    first = (project.folder / "metrics/few_shot.json").read_bytes()
    project.run("python", "stages/few_shot.py")
    assert (project.folder / "metrics/few_shot.json").read_bytes() == first
    assert "test.shots_2.balanced_accuracy" in project.run("dvc", "metrics", "show")
    assert project.ran(project.run("dvc", "repro")) == ["report"]


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

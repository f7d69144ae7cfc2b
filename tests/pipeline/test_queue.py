"""Experiments that are killed go on, and a sweep tells which of its experiments failed."""

import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from ruamel.yaml import YAML

from tests.support.project import Project

pytestmark = pytest.mark.slow

LONG = ("-S", "train.epochs=150")
PATIENCE_S = 120


def wait_for(what: Callable[[], bool]) -> None:
    last = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < last, what
        time.sleep(0.05)


def wait_for_an_epoch(project: Project) -> None:
    scratch = project.folder / "data" / ".scratch"
    wait_for(lambda: any(scratch.glob("*/last.pt")))


def written(project: Project, experiment: str) -> dict[str, str]:
    """Hashes of all that an experiment's training and evaluation wrote."""
    references = project.run("git", "for-each-ref", "--format=%(refname)", "refs/exps").split()
    reference = next(name for name in references if name.endswith(f"/{experiment}"))
    lock = YAML(typ="safe").load(project.run("git", "show", f"{reference}:dvc.lock"))
    stages = [lock["stages"][name] for name in ("train-coop", "evaluate-coop")]
    return {out["path"]: out["md5"] for stage in stages for out in stage["outs"]}


def status(project: Project) -> list[tuple[str, str]]:
    """Name and state of the tasks in the queue."""
    table = project.run("dvc", "queue", "status")
    return re.findall(r"^[0-9a-f]{7} +(\S+) .* (\w+) *$", table, re.MULTILINE)


def state(project: Project) -> set[str]:
    return {state for _, state in status(project)}


def workers(folder: Path) -> list[psutil.Process]:
    """Processes of a project's queue: they left the process group of who started them."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(folder) and process.pid != os.getpid():
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def kill(processes: list[psutil.Process]) -> None:
    for group in {os.getpgid(process.pid) for process in processes}:
        os.killpg(group, signal.SIGKILL)


@pytest.fixture
def project(project):
    """Whose workers end with the test."""
    yield project
    kill(workers(project.folder))


@pytest.fixture(scope="module")
def undisturbed(finished, tmp_path_factory) -> dict[str, str]:
    """What the long training writes when nobody kills it."""
    project = finished.copy(tmp_path_factory.mktemp("undisturbed") / "project")
    project.run("dvc", "exp", "run", "--temp", "-n", "whole", *LONG)
    return written(project, "whole")


def test_a_killed_temporary_experiment_goes_on(project, undisturbed):
    command = ["dvc", "exp", "run", "--temp", "-n", "long", *LONG]
    with project.start(*command) as running:
        wait_for_an_epoch(project)
        os.killpg(running.pid, signal.SIGKILL)
    output = project.run(*command)
    assert re.search(r"resuming after epoch [1-9]", output)
    assert written(project, "long") == undisturbed


def test_a_killed_queue_goes_on(project, undisturbed):
    project.run("dvc", "exp", "run", "--queue", "-n", "long", *LONG)
    assert project.start("dvc", "queue", "start").wait() == 0
    wait_for_an_epoch(project)
    kill(workers(project.folder))
    # Nobody has told DVC: the task is dead and blocks nothing, but no worker takes it up.
    assert status(project) == [("long", "Running")]
    project.run("dvc", "queue", "kill", "long")
    assert status(project) == [("long", "Failed")]
    project.run("dvc", "queue", "remove", "long")
    project.run("dvc", "exp", "run", "--queue", "-n", "long", *LONG)
    assert project.start("dvc", "queue", "start").wait() == 0
    wait_for(lambda: state(project).isdisjoint({"Queued", "Running"}))
    assert status(project) == [("long", "Success")]
    assert re.search(r"resuming after epoch [1-9]", project.run("dvc", "queue", "logs", "long"))
    assert written(project, "long") == undisturbed


def sweep(project: Project, grid: str, code: int) -> str:
    # This environment is the one that `make env` would make.
    return project.run("make", "-o", "env", "sweep", f"GRID={grid}", code=code)


def test_a_good_sweep_succeeds_and_its_experiments_are_listed(project):
    sweep(project, "-S 'train.n_ctx=1,4' -S train.epochs=1", code=0)
    assert [state for _, state in status(project)] == ["Success", "Success"]
    shown = project.run("make", "-o", "env", "experiments")
    columns = next(line.split() for line in shown.splitlines() if "Experiment" in line)
    assert {"Experiment", "State", "train.n_ctx", "train.epochs"} <= set(columns)
    # Of the metrics two, and never the hundreds of others, nor the files that differ.
    others = {column for column in columns if not column.startswith("train.")}
    named = {"Experiment", "State", "test.frame.balanced_accuracy"}
    assert others - named <= {"metrics/coop.json:test.video.balanced_accuracy"}


def test_a_sweep_names_what_failed(project):
    output = sweep(project, "-S 'train.n_ctx=99,1' -S train.epochs=1", code=2)
    failed = [name for name, state in status(project) if state == "Failed"]
    assert len(failed) == 1
    assert f"error: these failed: {failed[0]};" in output
    assert output.count("Lower train.n_ctx") >= 2  # where it happened, and again at the end
    # The next sweep is not blamed for it.
    sweep(project, "-S 'train.n_ctx=3' -S train.epochs=1", code=0)


def test_a_sweep_needs_a_grid(project):
    assert "error: no grid" in sweep(project, "", code=2)


def test_untracked_files_are_not_in_the_copy_that_a_queue_runs_in(project):
    shutil.copytree(project.folder / "data" / "demo", project.folder / "data" / "own")
    ignored = project.folder / ".gitignore"
    ignored.write_text(ignored.read_text() + "/data/own/\n")
    project.commit("own data that neither git nor DVC has")
    output = project.run("dvc", "exp", "run", "--temp", "-S", "data.root=data/own", code=255)
    assert "data/own" in output

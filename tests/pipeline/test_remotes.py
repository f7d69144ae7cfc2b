"""What one person pushes, another has after a clone and a pull."""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from tests.support.project import Project, edit

pytestmark = pytest.mark.slow

BUCKET = "team"
KEYS = {"access_key_id": "someone", "secret_access_key": "something"}
PATIENCE_S = 60


@pytest.fixture
def s3(tmp_path) -> Iterator[str]:
    """The address of an S3 server of our own, with an empty bucket."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (tmp_path / "s3.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        _make_bucket(address, server)
        yield address
    finally:
        server.kill()
        server.wait()


def _make_bucket(address: str, server: subprocess.Popen) -> None:
    client = boto3.client(
        "s3", endpoint_url=address, region_name="us-east-1",
        aws_access_key_id=KEYS["access_key_id"],
        aws_secret_access_key=KEYS["secret_access_key"],
        config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip
    last = time.monotonic() + PATIENCE_S
    while True:
        try:
            client.create_bucket(Bucket=BUCKET)
            return
        except BotoCoreError:
            if server.poll() is not None or time.monotonic() > last:
                raise
            time.sleep(0.2)


def give_keys(project: Project) -> None:
    """In .dvc/config.local, which git ignores."""
    for name, value in KEYS.items():
        project.run("dvc", "remote", "modify", "--local", "store", name, value)


def with_folder(project: Project, folder: Path) -> None:
    project.run("dvc", "remote", "add", "--default", "store", str(folder))
    project.commit("remote")


def expect_the_same(clone: Project) -> None:
    assert "up to date" in clone.run("dvc", "status")
    assert clone.ran(clone.run("dvc", "repro")) == []
    assert clone.run("git", "status", "--short") == ""


def test_a_clone_gets_everything_from_a_folder(project, tmp_path):
    with_folder(project, tmp_path / "store")
    project.run("dvc", "push", "--run-cache")
    clone = project.clone(tmp_path / "clone")
    clone.run("dvc", "pull")
    expect_the_same(clone)


def test_a_clone_gets_everything_from_s3_and_git_holds_no_keys(project, tmp_path, s3):
    project.run("dvc", "remote", "add", "--default", "store", f"s3://{BUCKET}/clipline")
    project.run("dvc", "remote", "modify", "store", "endpointurl", s3)
    give_keys(project)
    project.commit("remote")
    project.run("dvc", "push", "--run-cache")
    clone = project.clone(tmp_path / "clone")
    for key in KEYS.values():
        assert key not in (clone.folder / ".dvc" / "config").read_text()
    give_keys(clone)
    clone.run("dvc", "pull")
    expect_the_same(clone)


def test_an_experiment_travels_with_its_files(project, tmp_path):
    """`dvc push` alone sends the records of runs, and of files only those of the workspace."""
    with_folder(project, tmp_path / "store")
    project.run("git", "init", "-q", "--bare", str(tmp_path / "origin.git"))
    project.run("git", "remote", "add", "origin", str(tmp_path / "origin.git"))
    project.run("git", "push", "-q", "origin", "HEAD")
    project.run("dvc", "push", "--run-cache")
    project.run("dvc", "exp", "run", "--temp", "-n", "four", "-S", "train.n_ctx=4")
    project.run("dvc", "push", "--run-cache")
    early = Project(tmp_path / "origin.git").clone(tmp_path / "early")
    early.run("dvc", "pull", "--run-cache")
    edit(early.folder / "params.yaml", {"train": {"n_ctx": 4}})
    assert early.ran(early.run("dvc", "repro", "--pull", "train-coop")) == ["train-coop"]

    project.run("dvc", "exp", "push", "origin", "four")
    clone = Project(tmp_path / "origin.git").clone(tmp_path / "clone")
    clone.run("dvc", "pull", "--run-cache")
    clone.run("dvc", "exp", "pull", "origin", "four")
    # A stage with a metric in git is not restored from the run cache of another machine.
    edit(clone.folder / "params.yaml", {"train": {"n_ctx": 4}})
    output = clone.run("dvc", "repro", "--pull")
    assert "'train-coop' is cached" in output
    assert "evaluate-coop" in clone.ran(output)
    clone.run("git", "checkout", "-q", ".")
    clone.run("dvc", "checkout")
    clone.run("dvc", "exp", "apply", "four")
    assert clone.ran(clone.run("dvc", "repro")) == []


def test_every_artifact_is_there_and_one_is_fetched_by_its_stage(project, tmp_path):
    with_folder(project, tmp_path / "store")
    project.run("dvc", "push")
    paths = re.findall(r"^    path: (\S+)$", (project.folder / "dvc.yaml").read_text(), re.M)
    assert len(paths) == 4
    assert [path for path in paths if not (project.folder / path).exists()] == []
    project.run("gto", "register", "coop-prompts", "--version", "v1.0.0")
    project.run("gto", "assign", "coop-prompts", "--version", "v1.0.0", "--stage", "prod")
    assert re.search(r"coop-prompts\s+│ v1.0.0\s+│ v1.0.0", project.run("gto", "show"))
    # A later model that nobody has promoted.
    project.run("dvc", "exp", "run", "-S", "train.n_ctx=4")
    project.commit("another model")
    clone = project.clone(tmp_path / "clone")
    got = clone.folder / "prompts.safetensors"
    clone.run("dvc", "artifacts", "get", ".", "coop-prompts", "--stage", "prod", "-o", got.name)
    project.run("git", "checkout", "-q", "HEAD~1")
    project.run("dvc", "checkout")
    best = project.folder / "data" / "models" / "coop" / "coop_best.safetensors"
    assert got.read_bytes() == best.read_bytes()


def test_hardlinks_keep_one_copy(project):
    project.run("dvc", "config", "--local", "cache.type", "hardlink,symlink,copy")
    project.run("dvc", "checkout", "--relink")
    file = project.folder / "data/models/coop/coop_best.safetensors"
    assert file.stat().st_nlink == 2
    # Stages replace files and never write into them, so the cache stays as it was.
    before = file.read_bytes()
    output = project.run("dvc", "exp", "run", "-S", "train.n_ctx=4")
    assert project.ran(output) == ["train-coop", "evaluate-coop", "report"]
    assert file.read_bytes() != before
    project.run("git", "checkout", "-q", ".")
    project.run("dvc", "checkout")
    assert file.read_bytes() == before

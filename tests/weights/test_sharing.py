"""Published weights are git-ignored, and DVC takes them all the same."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
GRAPH = """
stages:
  look:
    cmd: cat data/weights/published/clip/a.pt > seen
    deps: [data/weights]
    outs: [seen]
"""

pytestmark = pytest.mark.slow


def run(folder: Path, *words: str) -> str:
    program = [sys.executable, "-m", "dvc", *words[1:]] if words[0] == "dvc" else list(words)
    done = subprocess.run(program, cwd=folder, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    weights = folder / "data/weights/published"
    (weights / "clip").mkdir(parents=True)
    (weights / "dinov2/base").mkdir(parents=True)
    (weights / "clip/a.pt").write_text("weights\n")
    (weights / "clip/.b.pt.partial.json").write_text("{}")
    (weights / "dinov2/base/config.json").write_text("{}")
    for name in (".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, folder)
    (folder / "dvc.yaml").write_text(GRAPH)
    run(folder, "git", "init", "-q")
    run(folder, "git", "config", "user.email", "t@example.org")
    run(folder, "git", "config", "user.name", "t")
    run(folder, "dvc", "init", "-q")
    (folder / ".dvcignore").unlink()
    shutil.copy(ROOT / ".dvcignore", folder)
    return folder


def test_weights_are_shared_by_dvc_and_stages_depend_on_them(project, tmp_path):
    run(project, "git", "add", "-A")
    assert "published" not in run(project, "git", "status", "--short")
    folder = "data/weights/published"
    run(project, "dvc", "add", "-q", f"{folder}/clip/a.pt", f"{folder}/dinov2/base")
    run(project, "dvc", "repro", "-q")
    run(project, "git", "add", "-A")
    shown = run(project, "git", "status", "--short")
    assert f"{folder}/clip/a.pt.dvc" in shown
    assert f"{folder}/dinov2/base.dvc" in shown
    assert f"{folder}/clip/a.pt\n" not in shown
    run(project, "git", "commit", "-qm", "weights")
    assert "up to date" in run(project, "dvc", "status")
    # What a colleague, the queue and temporary experiments start from.
    run(tmp_path, "git", "clone", "-q", "project", "clone")
    clone = tmp_path / "clone"
    run(clone, "dvc", "cache", "dir", "-q", "--local", str(project / ".dvc/cache"))
    run(clone, "dvc", "checkout", "-q", "--with-deps", "look")
    assert (clone / folder / "clip/a.pt").read_text() == "weights\n"
    assert (clone / folder / "dinov2/base/config.json").exists()
    run(clone, "dvc", "checkout", "-q")
    assert "up to date" in run(clone, "dvc", "status")

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline_lib.checkup import compute, decoders, environment, project, repository
from pipeline_lib.checkup.check import Check, Row, run_checks
from pipeline_lib.errors import ConfigError
from pipeline_lib.params_file import load_params

ROOT = Path(__file__).parents[2]
VALID = 'data: {root: own}\nextract: {clip: {model: "local-dir:nowhere"}}\n'
TORCH = {
    "torch": {"version": "2.13.0", "cuda": None},
    "torchvision": {"version": "0.28.0", "declared": [], "hooked": False},
    "devices": {"auto": "cpu", "precision": "fp32", "cuda": [], "mps": False, "threads": 2},
    "scan": {"name": "compiled", "reason": "a compiler is here"},
    "weights": [],
}


class Found:
    def __init__(self, **sections):
        self.found = sections


class Machine:
    """A context whose children have answered already."""

    def __init__(self, folder: Path, params: str | None = None, **torch) -> None:
        self.project, self.params_file = folder, folder / "params.yaml"
        if params is not None:
            self.params_file.write_text(params)
        self.torch = Found(**(TORCH | torch))
        self.decoders = Found()
        self.is_project = (folder / "dvc.yaml").is_file()

    @property
    def params(self):
        try:
            return load_params(self.params_file)
        except ConfigError as error:
            return error


def one(rows) -> Row:
    (row,) = rows
    return row


def test_a_crash_in_one_check_is_a_failed_row(tmp_path):
    def crash(context):
        yield Row("first", "ok", "fine")
        raise ZeroDivisionError("oh")

    done = run_checks(
        [Check("A", "bad", crash), Check("B", "good", lambda _: [Row("good", "ok", "fine")])],
        Machine(tmp_path),
    )
    assert done.count("fail") == 1
    assert done.groups["B"][0].status == "ok"
    assert "ZeroDivisionError: oh" in "\n".join(done.lines())
    assert done.as_dict()["checks"][0]["group"] == "A"


@pytest.mark.parametrize(
    ("sections", "status"),
    [
        ({}, "ok"),
        ({"torch": {"error": "ImportError: libcudart"}}, "fail"),
    ],
)
def test_torch(tmp_path, sections, status):
    row = one(environment.check_torch(Machine(tmp_path, **sections)))
    assert row.status == status


def test_torch_that_ends_its_process(tmp_path):
    machine = Machine(tmp_path)
    machine.torch = Found(crash="exit code -11: no message")
    assert "exit code -11" in one(environment.check_torch(machine)).text
    assert one(compute.check_accelerator(machine)).status == "fail"
    assert one(compute.check_scan(machine)).status == "warn"


@pytest.mark.parametrize(
    ("declared", "hooked", "status"),
    [([], False, "ok"), (["nms"], False, "warn"), ([], True, "ok")],
)
def test_torchvision(tmp_path, declared, hooked, status):
    about = {"version": "0.28.0", "declared": declared, "hooked": hooked}
    row = one(environment.check_torchvision(Machine(tmp_path, torchvision=about)))
    assert row.status == status


def test_every_card_is_named(tmp_path):
    cards = [{"name": "NVIDIA H100", "gib": 79.6, "bf16": True}]
    about = {**TORCH["devices"], "cuda": cards, "auto": "cuda", "precision": "bf16"}
    first, second = compute.check_accelerator(Machine(tmp_path, devices=about))
    assert first.text == "NVIDIA H100, 79.6 GiB, multiplies bf16"
    assert second.text.startswith("auto is cuda in bf16")


def test_a_decoder_has_to_work_only_where_it_is_asked_for(tmp_path):
    machine = Machine(tmp_path, VALID)
    right = {"frames": 10, "right": True}
    machine.decoders = Found(
        pyav=right, decord={"error": "no library"}, opencv={"frames": 9, "right": False},
        ffmpeg=right, torchcodec={"error": "not there"},
    )  # fmt: skip
    rows = {row.name: row.status for row in decoders.check_decoders(machine)}
    assert rows["pyav"] == "ok"
    assert rows["decord"] == rows["opencv"] == "warn"
    machine.params_file.write_text(VALID.replace("extract: {", "extract: {decoder: decord, "))
    rows = {row.name: row for row in decoders.check_decoders(machine)}
    assert rows["decord"].status == "fail"


def test_parameters_and_data(tmp_path):
    assert one(project.check_parameters(Machine(tmp_path))).status == "warn"
    machine = Machine(tmp_path, VALID.replace("extract", "extrakt"))
    row = one(project.check_parameters(machine))
    assert row.status == "fail"
    assert "'extract'" in row.remedy
    machine = Machine(tmp_path, VALID)
    assert one(project.check_parameters(machine)).status == "ok"
    assert one(project.check_data(machine)).status == "fail"
    (tmp_path / "own/videos/train").mkdir(parents=True)
    assert one(project.check_data(machine)).status == "ok"


def test_missing_weights_are_named_with_what_brings_them(tmp_path):
    entry = {"backbone": "clip", "weights": "x.pt", "problem": "is not there", "remedy": "fetch it"}
    row = one(project.check_weights(Machine(tmp_path, VALID, weights=[entry])))
    assert (row.name, row.status, row.remedy) == ("weights of clip", "fail", "fetch it")
    row = one(project.check_weights(Machine(tmp_path, VALID, weights={"error": "no torch"})))
    assert row.status == "warn"
    assert one(project.check_weights(Machine(tmp_path, VALID))).status == "ok"


@pytest.mark.parametrize(("free", "status"), [(1e12, "ok"), (2e9, "warn"), (1e6, "fail")])
def test_disks(tmp_path, monkeypatch, free, status):
    usage = type("Usage", (), {"free": int(free)})
    monkeypatch.setattr(project.shutil, "disk_usage", lambda place: usage)
    assert {row.status for row in project.check_disks(Machine(tmp_path))} == {status}


def test_dvc_says_how_it_links_and_where_it_shares(tmp_path):
    (tmp_path / ".dvc").mkdir()
    config = tmp_path / ".dvc" / "config"
    config.write_text("[core]\n    remote = store\n['remote \"store\"']\n    url = /x\n")
    version, cache, remote = repository.check_dvc(Machine(tmp_path))
    assert version.status == cache.status == remote.status == "ok"
    assert "store is the default" in remote.text
    assert "copy" in cache.text
    config.write_text("[cache]\n    type = hardlink,symlink\n['remote \"store\"']\n    url = /x\n")
    _, cache, remote = repository.check_dvc(Machine(tmp_path))
    assert cache.status == "warn"
    assert cache.remedy == "dvc config cache.type reflink,copy"
    assert remote.remedy == "dvc remote default store"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".dvc"]


def test_a_folder_that_is_no_repository(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert one(repository.check_git(Machine(tmp_path))).status == "warn"
    assert one(repository.check_dvc(Machine(tmp_path))).status == "warn"


def doctor(folder: Path, *arguments: str, path: Path | None = None):
    places = [str(path)] if path else []
    return subprocess.run(
        [sys.executable, ROOT / "stages/doctor.py", *arguments],
        cwd=folder, text=True, capture_output=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.slow
def test_the_command_outside_a_project(tmp_path):
    done = doctor(tmp_path, "--json")
    checks = {row["name"]: row for row in json.loads(done.stdout)["checks"]}
    assert done.returncode == 0, done.stdout
    assert checks["pyav"]["text"].endswith("reads a test clip")
    assert checks["torch"]["status"] == "ok"
    assert checks["parameters"]["status"] == "warn"


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("raise ImportError('libcudart.so.13: no such file')", "libcudart.so.13"),
        ("import os; os.kill(os.getpid(), 11)", "exit code -11"),
    ],
)
def test_the_command_with_a_torch_that_cannot_be_imported(tmp_path, module, words):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "torch.py").write_text(module)
    done = doctor(tmp_path, path=tmp_path / "broken")
    assert done.returncode == 2
    assert f"fail torch: cannot be imported: {words}" in done.stdout.replace("ImportError: ", "")
    assert "ok   pyav" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_python_without_the_packages_is_one_clear_error():
    command = [sys.executable, "-S", str(ROOT / "stages/doctor.py")]  # -S: no site-packages
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "has no package 'typer'" in done.stderr


def test_a_broken_dvc_configuration_is_named(tmp_path):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core")
    looked = run_checks(
        [Check("A", "disk", lambda context: iter([repository.cache_folder(context.project)]))],
        Machine(tmp_path),
    )
    (row,) = looked.groups["A"]
    assert row.status == "fail"
    assert row.text.startswith(f"{tmp_path / '.dvc/config'}: no valid configuration")
    assert "by hand" in row.remedy

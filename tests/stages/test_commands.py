"""Commands as a user meets them: help at once, one clear line and exit code 2 for a mistake."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stages.cli import COMMANDS
from tests.support.tiny_clip import untrained_clip
from tests.support.video_files import constant_rate, garbage

ROOT = Path(__file__).parent.parent.parent


def clipline(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from stages.cli import main; main()", *map(str, arguments)],
        cwd=cwd, text=True, capture_output=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.parametrize("module", sorted({module for module, _ in COMMANDS.values()}))
def test_help_imports_no_torch(module):
    code = (
        "import sys\n"
        f"import stages.{module} as stage\n"
        "from typer.testing import CliRunner\n"
        "result = CliRunner().invoke(stage.app, ['--help'])\n"
        "assert result.exit_code == 0, result.output\n"
        "heavy = {'torch', 'open_clip', 'transformers', 'sklearn', 'cv2'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def model(tmp_path):
    return ["--model", untrained_clip(tmp_path / "clip").model, "--weights", "untrained"]


def test_a_folder_with_a_broken_video_is_finished_and_exits_with_2(tmp_path, model):
    constant_rate(tmp_path / "v" / "good.mp4", 60)
    garbage(tmp_path / "v" / "bad.mp4")
    done = clipline(
        "extract", "clip", tmp_path / "v", "--out", tmp_path / "f", *model, cwd=tmp_path
    )
    assert done.returncode == 2
    assert "1 extracted (5 samples)" in done.stdout
    assert "bad.mp4: not a readable video" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "f" / "clip" / "good.npy").exists()


def test_one_file_and_json(tmp_path, model):
    video = constant_rate(tmp_path / "a.mp4", 60)
    done = clipline(
        "extract", "clip", video, "--out", tmp_path / "f", "--every", "0.5", "--json", *model,
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert '"extracted": 1' in done.stdout
    assert (tmp_path / "f" / "clip" / "a.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("extract", "cilp", "."), ("Unknown backbone 'cilp'", "'clip'")),
        (("extract", "clip", "nowhere"), ("nowhere: no such folder",)),
        (("extract", "clip"), ("No parameter file params.yaml", "dvc.yaml")),
        (("extract", "clip", ".", "--every", "0"), ("every_s = 0.0", "greater than 0")),
        (("extract", "clip", ".", "--decoder", "pyavv"), ("decoder", "'pyav'")),
        (("extract", "clip", ".", "--weights", "x.pt"), ("neither a file nor", "x.pt")),
        (("extract", "clip,dinov2", ".", "--weights", "x"), ("single backbone", "params.yaml")),
        (("extract", "slowfast", ".", "--model", "x"), ("model is not a parameter",)),
        (("extract", "clip", ".", "--executor", "rey"), ("'ray'",)),
        (("extract", "clip", ".", "--shard", "4/4"), ("no part of a whole", "0/8")),
        (("extract", "clip", ".", "--model", "ViT-B-23", "--weights", "x"), ("ViT-B-32",)),
        (("extract", "clip", ".", "--evry", "1"), ("--every",)),
        (("extrct",), ("extract",)),
        (("train", "cop", "--params", "PARAMS"), ("Unknown trainer 'cop'", "'coop'")),
        (("evaluate", "cop", "--params", "PARAMS"), ("Unknown evaluator 'cop'", "'coop'")),
    ],
)
def test_mistakes_get_one_clear_message(tmp_path, arguments, words):
    constant_rate(tmp_path / "a.mp4", 5)
    arguments = [ROOT / "params.yaml" if a == "PARAMS" else a for a in arguments]
    done = clipline(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_an_output_folder_that_cannot_be_written(tmp_path, model):
    constant_rate(tmp_path / "v" / "a.mp4", 5)
    (tmp_path / "f").write_text("a file, not a folder")
    done = clipline(
        "extract", "clip", tmp_path / "v", "--out", tmp_path / "f", *model, cwd=tmp_path
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_warning_in_a_log_is_one_line():
    words = "a warning " + "with many words " * 20
    code = (
        "import logging\n"
        "from stages._command import _log_to_stderr\n"
        "_log_to_stderr()\n"
        f"logging.getLogger('pipeline_lib.x').warning({words!r})\n"
        "logging.getLogger().warning('of open_clip')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr == f"WARNING  {words}\n"


def test_a_bug_says_so_and_exits_with_1():
    code = (
        "import typer\n"
        "from stages._command import new_app, run\n"
        "app = new_app()\n"
        "@app.command()\n"
        "def broken() -> None:\n"
        "    raise ZeroDivisionError\n"
        "run(app)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "This is a bug in Clipline" in done.stderr
    assert "ZeroDivisionError" in done.stderr


def test_too_little_memory_of_the_accelerator_is_no_bug():
    code = (
        "from stages._command import new_app, run\n"
        "class OutOfMemoryError(RuntimeError): pass\n"
        "app = new_app()\n"
        "@app.command()\n"
        "def large() -> None:\n"
        "    raise OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB')\n"
        "run(app)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "out of memory: CUDA" in done.stderr
    assert "batch_size" in done.stderr

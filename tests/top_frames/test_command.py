import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline_lib.errors import CliplineError
from stages.top_frames import app
from tests.support.tiny_clip import untrained_clip
from tests.support.video_files import constant_rate, garbage

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder that is no project, with a video and a model."""
    monkeypatch.chdir(tmp_path)
    constant_rate(tmp_path / "a.mp4", 30)
    garbage(tmp_path / "bad.mp4")
    untrained_clip(tmp_path / "clip")
    (tmp_path / "config.json").write_text("{}")  # as a training leaves it beside its models
    return tmp_path


def call(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


MODEL = ("--model", "clip", "--weights", "untrained")


def test_one_video_in_any_folder(folder):
    done = subprocess.run(
        [sys.executable, "-c", "from stages.cli import main; main()", "top-frames", "a.mp4",
         "a red ring", *MODEL, "--size", "64x36"],
        cwd=folder, text=True, capture_output=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 5
    assert "top_frames/top_01_f" in done.stdout
    assert "its scores mean nothing" in done.stderr
    assert (folder / "top_frames" / "strip.png").is_file()
    assert not (folder / "data").exists()


def test_inside_a_project_its_own_clip_is_taken(folder):
    (folder / "params.yaml").write_text(
        "data: {root: data}\nextract: {precision: fp32, clip: {model: 'local-dir:clip', "
        "weights: untrained, seed: 3}}\n"
    )
    done = call("a.mp4", "a red ring", "--json", "--k", "2", "--fps", "5")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record == json.loads((folder / "top_frames" / "frames.json").read_text())
    assert (record["model"], record["k"]) == ("local-dir:clip/untrained", 2)
    assert [frame["segment"] for frame in record["frames"]] == [0, 1]
    (folder / "params.yaml").write_text("data: {root: data}\nextract: {dinov2: {}}\n")
    assert "is no CLIP with a section extract.clip" in str(call("a.mp4", "x").exception)


def test_many_queries(folder):
    queries = [{"id": "a", "video": "a.mp4", "caption": "a ring"},
               {"id": "b", "video": "bad.mp4", "caption": "a ring"}]  # fmt: skip
    Path("q.json").write_text(json.dumps(queries))
    done = call("--queries", "q.json", "--videos", ".", "--out", "results", *MODEL)
    assert done.exception.exit_code == 2
    assert "results/index.json: 1 chosen, 0 kept, 1 failed" in done.output
    again = call("--queries", "q.json", "--videos", ".", "--out", "results", "--json", *MODEL)
    assert [result["id"] for result in json.loads(again.stdout)["results"]] == ["a"]
    assert "1 of 2 queries have no frames" in str(again.exception)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Neither a video nor --queries"),
        (("a.mp4",), "No caption"),
        (("a.mp4", " "), "caption is empty"),
        (("a.mp4", "x", "--queries", "q.json"), "do not go together"),
        (("a.mp4", "x", "--videos", "."), "do not go together"),
        (("--queries", "q.json"), "--queries needs --videos"),
        (("--videos", "."), "--videos goes with --queries"),
        (("--queries", "q.json", "--videos", "."), "No file of queries q.json"),
        (("a.mp4", "x", "--size", "1920"), "--size '1920' is not WIDTHxHEIGHT"),
        (("a.mp4", "x", "--size", "0x10"), "--size '0x10' is not WIDTHxHEIGHT"),
        (("a.mp4", "x", "--k", "0"), "k = 0"),
        (("a.mp4", "x", "--fps", "-1"), "fps = -1"),
        (("a.mp4", "x", "--segments", "eqal"), "Did you mean 'equal'"),
        (("a.mp4", "x"), "--model has to name a CLIP"),
        (("none.mp4", "x", *MODEL), "none.mp4: no such file"),
        (("bad.mp4", "x", *MODEL), "bad.mp4: not a readable video"),
        (("clip", "x", *MODEL), "clip: not a file"),
        (("a.mp4", "x", "--model", "models/best"), "models/best: no such folder"),
        (("a.mp4", "x", "--model", "org/clip"), "transformers:org/clip"),
        (("a.mp4", "x", "--model", "."), "name one of clip"),
        (("a.mp4", "x", "--model", "ViT-B-23"), "Did you mean 'ViT-B-32'"),
        (("a.mp4", "x", "--model", "ViT-B-32", "--weights", "y.pt"), "neither a file nor"),
        (("a.mp4", "x", "--out", ".", *MODEL), "which top-frames did not make"),
        (("a.mp4", "x", "--out", "a.mp4", *MODEL), "not a directory"),
    ],
)
def test_mistakes_get_one_clear_message(folder, arguments, words):
    done = call(*arguments)
    assert isinstance(done.exception, CliplineError)
    assert done.exception.exit_code == 2
    assert words in str(done.exception)


def test_no_folder_of_videos(folder):
    Path("q.json").write_text('[{"id": "a", "video": "a.mp4", "caption": "x"}]')
    done = call("--queries", "q.json", "--videos", "nowhere", *MODEL)
    assert "nowhere: no such folder" in str(done.exception)

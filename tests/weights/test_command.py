import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

import stages.weights
from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.videomamba import load_videomamba
from pipeline_lib.backbones.weight_files import PublishedFile, find_weights
from pipeline_lib.config import VideoMambaBackboneConfig
from pipeline_lib.errors import BatchError, ConfigError, WeightsError
from pipeline_lib.weights import command
from pipeline_lib.weights.place import FOLDER
from tests.weights.conftest import CONTENT, SHA256, item_of

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def project(tmp_path, monkeypatch, server):
    """A folder with the project's params.yaml, and a catalogue of two files on the server."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    items = [item_of(server.url), item_of(server.url, network="mobileclip")]
    known = {item.network: item for item in items}
    monkeypatch.setattr(command, "catalogue", lambda: known)
    monkeypatch.setattr(command, "choose", lambda names: [known[name] for name in names])
    return tmp_path


def run(*words, code=0, **options):
    result = CliRunner().invoke(stages.weights.app, words, **options)
    if code:
        assert result.exit_code != 0
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_fetching_with_use_is_all_that_is_needed(project):
    text = run("fetch", "slowfast", "--use")
    path = "data/weights/published/slowfast/weights.pt"
    assert (project / path).read_bytes() == CONTENT
    assert f"params: extract.slowfast.weights: {path}" in text
    assert f"share: dvc add {path}" in text
    assert f"    weights: {path}\n" in (project / "params.yaml").read_text()
    assert "1 of 1 files are right" in run("verify")
    (slowfast, mobileclip) = json.loads(run("list", "--json"))
    assert (slowfast["state"], mobileclip["state"]) == ("verified", "missing")


def test_without_use_params_stay(project):
    before = (project / "params.yaml").read_bytes()
    record = json.loads(run("fetch", "slowfast", "--json", "--out", "elsewhere"))
    assert record["files"][0]["sha256"] == SHA256
    assert (project / "params.yaml").read_bytes() == before
    assert (project / "elsewhere/slowfast/weights.pt").exists()


def test_parameters_that_cannot_be_used_are_told_before_anything_is_fetched(project, server):
    (project / "params.yaml").write_text("data: {root: own, rooot: x}\n")
    with pytest.raises(ConfigError, match="rooot is not a parameter"):
        run("fetch", "slowfast", "--use", code=2)
    assert server.behaviour.asked == []


def test_the_command_shows_the_librarys_own_folder():
    assert stages.weights.FOLDER == FOLDER


def test_a_restricting_licence_is_shown_and_has_to_be_accepted(project, server):
    with pytest.raises(WeightsError, match="Non-commercial research only"):
        run("fetch", "mobileclip", "slowfast", code=2)
    assert server.behaviour.asked == []
    text = run("fetch", "mobileclip", "--accept-licence", "mobileclip")
    assert "licence of mobileclip: Apple Machine Learning Research Model License" in text


def test_on_a_terminal_it_is_asked_for(project, monkeypatch, server):
    monkeypatch.setattr("typer.testing._NamedTextIOWrapper.isatty", lambda self: True)
    with pytest.raises(WeightsError, match="Nothing has been fetched"):
        run("fetch", "mobileclip", code=2, input="n\n")
    run("fetch", "mobileclip", input="y\n")


def test_what_was_fetched_is_used_though_another_file_failed(project, server):
    server.behaviour.status = [200, 404]
    with pytest.raises(BatchError, match="1 of 2 files are not there"):
        run("fetch", "slowfast", "mobileclip", "--accept-licence", "mobileclip", "--use", code=2)
    text = (project / "params.yaml").read_text()
    assert "weights: data/weights/published/slowfast/weights.pt" in text
    assert "published/mobileclip" not in text


def test_a_loader_that_fetches_for_itself_checks_the_hash_too(server, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    right = {"a": PublishedFile(server.url, "free", SHA256)}
    wrong = {"a": PublishedFile(server.url.replace("weights", "other"), "free", "0" * 64)}
    assert find_weights("a", right, "extract.x").read_bytes() == CONTENT
    with pytest.raises(WeightsError, match="invalid hash value"):
        find_weights("a", wrong, "extract.x")


def test_videomamba_takes_a_published_name(server, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    published = {"k400-tiny": PublishedFile(server.url, "Apache-2.0", SHA256)}
    monkeypatch.setattr("pipeline_lib.backbones.videomamba.PUBLISHED", published)
    with pytest.raises(WeightsError, match="not a readable checkpoint"):  # it was fetched
        load_videomamba(VideoMambaBackboneConfig(weights="k400-tiny"), Placement())

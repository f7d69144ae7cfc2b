"""The command, on a small project with the demo CLIP in place of a fine-tuned one."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from pipeline_lib.backbones.loading import load_section
from pipeline_lib.config import as_dict
from pipeline_lib.errors import CliplineError, ConfigError, DataError, WeightsError
from pipeline_lib.evaluation.pos_neg import evaluate
from pipeline_lib.mining.stage import mine_stage
from pipeline_lib.params_file import load_params
from pipeline_lib.runtime.device import choose_device
from pipeline_lib.storage.atomic import write_json
from pipeline_lib.trainers.pos_neg.data import load_data
from stages.evaluate import app
from tests.support.video_files import constant_rate

ROOT = Path(__file__).parents[3]
BEST = Path("data/models/pos_neg/best")
PARAMS = {
    "data": {"root": "data/own"},
    "extract": {
        "precision": "fp32",
        "clip": {"model": "local-dir:data/weights/demo_clip"},
        "clip_untrained": {"model": "local-dir:data/weights/demo_clip", "weights": "untrained"},
    },
    "mine": {"threshold": 1.0, "tries_per_segment": 1, "segments": 2},
    "train": {"pos_neg": {"select": "last"}},
    "evaluate": {
        "pos_neg": {"fps": 2.0, "k": 2, "recall_at": [2], "random_draws": 2, "examples": 1},
        "sim_m": {"backbone": "clip"},
    },
}
QUESTIONS = (("train/a/one.mp4", 0.5), ("val/a/two.mp4", 1.0), ("test/a/three.mp4", 2.0))


def write_params(changes=None):
    with Path("params.yaml").open("w") as file:
        YAML(typ="safe", pure=True).dump(PARAMS | (changes or {}), file)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Videos, mined frames, and a model folder that holds what training started from."""
    root = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        write_params()
        shutil.copytree(ROOT / "data/weights/demo_clip", "data/weights/demo_clip")
        items = []
        for number, (path, time) in enumerate(QUESTIONS):
            constant_rate(Path("data/own/videos") / path, 75)
            words = {"id": f"q{number}", "question": f"when is number {number} seen?"}
            places = {"choices": [], "video_path": path, "support_frames": [time]}
            items.append(words | places)
        Path("data/own/qa.json").write_text(json.dumps({"data": items}))
        params = load_params(Path("params.yaml"))
        mine_stage(params, Path("data/mined"), Path("metrics/mine.json"))
        clip = load_section("clip", params.extract, choose_device("cpu"), "fp32")
        shutil.copytree("data/weights/demo_clip", BEST)
        facts = {
            "trainer": "pos_neg",
            "config": as_dict(params.train.pos_neg),
            "source": {"weights_sha256": clip.weights_sha256},
            "data": {"sha256": load_data(Path("data/mined"), params.train.pos_neg).sha256()},
            "checkpoints": {"best": {}},
        }
        write_json(BEST.parent / "config.json", facts)
    return root


@pytest.fixture
def project(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")


def run(*options):
    result = CliRunner().invoke(app, ["pos_neg", *options])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def change(name, value):
    """Change one fact beside the model."""
    path = BEST.parent / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))


def written():
    folders = (Path("metrics"), Path("data/evaluation"))
    found = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in found if path.name != "mine.json"}


def test_the_same_weights_gain_exactly_nothing(project):
    output = run()
    assert "gain over" in output
    assert "+0.000" in output
    first = written()
    metrics = json.loads(first["metrics/pos_neg.json"])
    for split in ("val", "test"):
        tree = metrics[split]
        assert (tree["items"], tree["videos"]) == (1, 1)
        for group in ("recall", "precision", "sim_m"):
            assert tree[group] == tree["control"]["zero_shot"][group]
            assert all(gain == {"mean": 0.0, "se": None} for gain in tree["gain"][group].values())
    assert metrics["embedder"]["backbone"] == "clip"
    assert metrics["embedder"]["independent"] is False
    assert Path("metrics/plots/pos_neg/top_frames/q2.png").exists()
    assert Path("metrics/plots/pos_neg/sim_m.png").exists()
    run()
    assert written() == first


def test_an_own_evaluation_writes_only_below_out(project):
    output = run("--checkpoint", str(BEST), "--split", "test")
    assert "test.recall.at_2" in output
    assert "val." not in output
    assert written() == {}
    run("--split", "test", "--out", "mine")
    assert written() == {}
    rows = pd.read_parquet("mine/items.parquet")
    assert set(rows.id) == {"q2"}
    assert Path("mine/plots/top_frames/q2.png").exists()


def test_a_leak_is_said_once(project, caplog):
    run("--split", "test")
    assert caplog.text.count("in more than one split") == 1


def test_an_unreadable_video_ends_the_command_when_the_others_are_written(project):
    Path("data/own/videos/val/a/two.mp4").write_bytes(b"no video")
    with pytest.raises(CliplineError, match="1 of 2 items could not be measured") as caught:
        run()
    assert "data/evaluation/pos_neg/failures.csv" in str(caught.value)
    assert pd.read_csv("data/evaluation/pos_neg/failures.csv").id.tolist() == ["q1"]
    metrics = json.loads(Path("metrics/pos_neg.json").read_text())
    assert metrics["val"]["items_failed"] == 1
    assert metrics["test"]["items"] == 1


def refuse(error, match, *options):
    with pytest.raises(error, match=match) as caught:
        run(*options)
    assert len(caught.value.message.splitlines()) == 1
    assert caught.value.hint
    assert written() == {}


def test_misuse_is_one_clear_line(project):
    refuse(ConfigError, "not evaluated on packed windows", "--windows", "data/windows/clip")
    refuse(ConfigError, "Unknown split 'tset'", "--split", "tset")
    refuse(WeightsError, "No model folder gone", "--checkpoint", "gone")
    refuse(WeightsError, "pos_neg holds several models", "--checkpoint", str(BEST.parent))
    refuse(WeightsError, "not a CLIP fine-tuned by", "--checkpoint", "data/weights/demo_clip")
    Path("data/models/pos_neg/other").mkdir()
    refuse(WeightsError, "does not know it", "--checkpoint", "data/models/pos_neg/other")


def test_no_folder_of_videos_is_one_clear_line(project):
    write_params({"data": {"root": "data/elsewhere"}})
    refuse(DataError, "No folder of videos data/elsewhere/videos")


def test_data_that_training_did_not_see_is_refused(project):
    (picture,) = Path("data/mined/frames_true/q0").iterdir()
    shutil.copy(next(Path("data/mined/frames_true/q1").iterdir()), picture)
    refuse(DataError, "data/mined has changed since data/models/pos_neg/best was trained")


def test_another_origin_is_refused(project):
    change("source", {"weights_sha256": "f" * 64})
    refuse(WeightsError, r"fine-tuned from other weights than extract.clip names now \(ffffff")


def test_what_training_was_told_is_taken_from_beside_the_model(project, monkeypatch):
    settings = json.loads((BEST.parent / "config.json").read_text())["config"]
    # No item has choices, so that the captions and with them the data stay the same.
    change("config", settings | {"caption": "question_choices"})
    asked = []

    def noted(table, splits, split, videos, caption):
        asked.append((split, caption))
        return questions_of(table, splits, split, videos, caption)

    questions_of = evaluate.questions_of
    monkeypatch.setattr(evaluate, "questions_of", noted)
    run("--split", "test")
    assert asked == [("test", "question_choices")]
    change("config", settings | {"backbone": "clip_untrained"})
    with pytest.raises(WeightsError, match=r"other weights than extract\.clip_untrained names"):
        run()


def test_settings_of_another_version_are_refused(project):
    change("config", {"rate": 1})
    refuse(WeightsError, "config.json: written by another version")


def test_an_untrained_network_compares_nothing(project):
    sim_m = {"backbone": "clip_untrained"}
    write_params({"evaluate": PARAMS["evaluate"] | {"sim_m": sim_m}})
    refuse(WeightsError, "'clip_untrained' has untrained weights")

"""The command, on a small project with a real network of random weights."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pipeline_lib.errors import BatchError, ConfigError, DataError, WeightsError
from pipeline_lib.metrics.retrieval import match_matrix, retrieval_metrics
from stages.evaluate import app
from tests.evaluation.tempme_stop.project import BEST, write_params, write_project
from tests.support.video_files import garbage

METRICS = Path("metrics/tempme_stop.json")
TABLES = Path("data/evaluation/tempme_stop")
PLOTS = Path("metrics/plots/tempme_stop")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        write_project()
    return root


@pytest.fixture
def project(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")


def run(*options):
    result = CliRunner().invoke(app, ["tempme_stop", *options])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def written():
    folders = (Path("metrics"), Path("data/evaluation"))
    found = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in found}


def test_the_whole_stage_twice(project):
    output = run()
    assert "test.t2v_r1" in output
    assert "gain over" in output
    first = written()
    metrics = json.loads(METRICS.read_text())
    assert list(metrics) == ["val", "test", "model", "cost"]
    test = metrics["test"]
    assert (test["texts"], test["videos"], test["missing"]) == (7, 5, 0)
    assert test["control"]["chance"]["t2v_r1"] == pytest.approx(20)
    assert test["qb_norm"]["t2v_r1"] is not None
    assert (metrics["model"]["frames"], metrics["model"]["clips"]) == (8, 2)
    assert metrics["model"]["trained"] is True
    assert 0 < metrics["cost"]["gmac"] < metrics["cost"]["gmac_unmerged"]
    assert metrics["cost"]["tokens"] == 8 * 17 > metrics["cost"]["tokens_left"]
    assert len(list((PLOTS / "found").glob("*.png"))) == 2
    run()
    assert written() == first


def test_the_tables_tell_where_the_numbers_come_from(project):
    run("--split", "test", "--out", "own")
    texts, videos = (pd.read_parquet(f"own/{name}.parquet") for name in ("texts", "videos"))
    similarity = np.load("own/similarity_test.npy")
    assert similarity.shape == (len(texts), len(videos)) == (7, 5)
    owners = texts.video.map(dict(zip(videos.video, videos.row, strict=True))).to_numpy()
    metrics = retrieval_metrics(similarity, match_matrix(owners, 5), groups=owners)
    told = json.loads(Path("own/tempme_stop.json").read_text())["test"]
    assert metrics == {name: told[name] for name in metrics}
    assert told["t2v_mnr"] == texts["rank"].mean()
    assert told["v2t_mnr"] == videos["rank"].mean()
    assert told["control"]["zero_shot"]["t2v_mnr"] == texts["zero_shot_rank"].mean()
    assert videos.texts.tolist() == [1, 2, 1, 2, 1]
    assert texts.best_score.tolist() == similarity.max(axis=1).astype(float).tolist()
    assert Path("own/plots/recall.png").exists()
    assert not METRICS.exists()


def test_new_adapters_without_merging_are_plain_clip(project):
    nothing = {"merge_layer": (), "merge_frame_num": (), "tome_r": 0, "clips": 4}
    write_project(**nothing)
    run("--split", "test", "--out", "own")
    told = json.loads(Path("own/tempme_stop.json").read_text())["test"]["control"]
    assert told["untrained"] == told["zero_shot"]


def test_broken_and_missing_videos_are_listed_and_counted(project):
    garbage(Path("data/own/videos/test/a/1.mp4"))
    Path("data/own/videos/test/a/3.mp4").unlink()
    run()
    test = json.loads(METRICS.read_text())["test"]
    assert (test["texts"], test["videos"], test["missing"]) == (3, 3, 2)
    failures = pd.read_csv(TABLES / "failures.csv")
    assert failures.split.tolist() == ["test", "test"]
    assert sorted(failures.id) == ["test/a/1", "test/a/3"]
    write_params(dataset={"on_missing": "stop"})
    with pytest.raises(BatchError, match="2 of 8 videos could not be measured") as caught:
        run()
    assert "data/evaluation/tempme_stop/failures.csv" in str(caught.value)
    assert json.loads(METRICS.read_text())["test"] == test


def test_cross_attention_reranks(project):
    write_project(sim_header="tightTransf")
    run("--split", "test", "--out", "own")
    told = json.loads(Path("own/tempme_stop.json").read_text())["test"]
    assert set(told["rerank"]) == set(told["dsl"])
    assert told["rerank"]["t2v_r5"] == 100  # five videos


def without(split):
    path = Path("data/own/captions.json")
    items = [i for i in json.loads(path.read_text())["data"] if split not in i["video_path"]]
    path.write_text(json.dumps({"data": items}))


def test_a_split_that_is_not_there_is_left_out_unless_asked_for(project, caplog):
    without("test")
    run()
    assert "no videos in test" in caplog.text
    assert "test" not in json.loads(METRICS.read_text())
    with pytest.raises(DataError, match="no videos in test"):
        run("--split", "test")


def test_without_training_captions_there_is_no_querybank(project, caplog):
    without("train")
    run("--split", "test", "--out", "own")
    assert "qb_norm is undefined" in caplog.text
    told = json.loads(Path("own/tempme_stop.json").read_text())["test"]
    assert told["qb_norm"]["t2v_r1"] is None


def test_training_videos_among_the_tested_ones_are_told(project, caplog):
    run("--split", "train", "--out", "own")
    assert "train: 3 of 3 videos are training videos too" in caplog.text


def test_a_perfect_recall_that_is_all_ties_is_told(project, caplog):
    first, *others = sorted(Path("data/own/videos/test/a").iterdir())
    for other in others:
        shutil.copy(first, other)
    run("--split", "test", "--out", "own")
    assert "t2v_r1 is 100.0 with ties for the query, 0.0 against it" in caplog.text


def test_misuse_is_one_clear_line(project):
    for error, match, options in (
        (ConfigError, "not evaluated on packed windows", ("--windows", "data/windows/clip")),
        (ConfigError, "Unknown split 'tset'", ("--split", "tset")),
        (WeightsError, "gone: no config.json", ("--checkpoint", "gone")),
    ):
        with pytest.raises(error, match=match) as caught:
            run(*options)
        assert caught.value.hint
        assert written() == {}


def test_another_clip_is_refused(project):
    facts = json.loads((BEST / "config.json").read_text())
    facts["clip"]["weights_sha256"] = "f" * 64
    (BEST / "config.json").write_text(json.dumps(facts))
    with pytest.raises(WeightsError, match="ffff"):
        run()
    assert written() == {}

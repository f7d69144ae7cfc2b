"""The stage: params.yaml to a directory, with a real (untrained) CLIP."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from pipeline_lib.backbones.loading import load_backbone
from pipeline_lib.backbones.video_embedding import unit_rows
from pipeline_lib.config import DataConfig, ExtractConfig, MineConfig, Params
from pipeline_lib.errors import BatchError, ConfigError, DataError
from pipeline_lib.mining.stage import mine_stage
from pipeline_lib.params_file import override
from pipeline_lib.video.scaling import resize_image
from stages.mine import app
from tests.support.tiny_clip import untrained_clip
from tests.support.video_files import constant_rate

# Numbered frames differ little for a random network; this lets through some and not others.
THRESHOLD = 0.9998


def item(name, *times, video="train/a/long.mp4"):
    return {
        "id": name,
        "question": "Where?",
        "choices": ["here", "there"],
        "video_path": video,
        "support_frames": list(times),
    }


def write_items(root, *items):
    (root / "qa.json").write_text(json.dumps({"data": items}))


@pytest.fixture
def params(tmp_path):
    root = tmp_path / "data"
    constant_rate(root / "videos/train/a/long.mp4", 100, 25)
    write_items(root, item("q1", 0.4, 2.0), item("q2", 3.9))
    return Params(
        data=DataConfig(root=str(root)),
        extract=ExtractConfig(
            clip=untrained_clip(tmp_path / "clip"), batch_size=4, precision="fp32"
        ),
        mine=MineConfig(threshold=THRESHOLD, tries_per_segment=3, frames_per_segment=2),
    )


def contents(directory):
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("strategy", ["random", "hard"])
def test_saved_frames_rescored_from_their_files(params, tmp_path, strategy):
    params = override(params, {"mine": replace(params.mine, strategy=strategy)})
    report = mine_stage(params, tmp_path / "mined", tmp_path / "metrics/mine.json")
    rows = pd.read_parquet(tmp_path / "mined/mined.parquet")
    backbone = load_backbone("clip", params.extract, params.runtime)

    def embedding(path):
        with Image.open(tmp_path / "mined" / path) as image:
            small = resize_image(np.asarray(image), backbone.resize)
        return unit_rows(backbone.encode([small]))[0]

    rescored = 0
    for _, frames in rows.groupby("id"):
        true = [embedding(path) for path in frames.path[frames.kind == "true"]]
        for row in frames[frames.kind == "neg"].itertuples():
            scores = [float(embedding(row.path) @ other) for other in true]
            assert max(scores) < THRESHOLD
            assert row.max_cosine == pytest.approx(max(scores), abs=1e-6)
            rescored += 1
    drawn = sum(len(mined.drawn_cosines) for mined in report.mined)
    assert 0 < rescored < drawn  # the threshold decided something
    assert json.loads((tmp_path / "metrics/mine.json").read_text()) == report.metrics()


def test_a_second_run_replaces_everything_with_the_same_bytes(params, tmp_path):
    out = tmp_path / "mined"
    mine_stage(params, out, tmp_path / "mine.json")
    first = contents(out)
    (out / "frames_neg/stale").mkdir()
    (out / "frames_neg/stale/old.png").write_bytes(b"x")
    (out / "failures.csv").write_text("id\nold\n")
    mine_stage(params, out, tmp_path / "mine.json")
    assert contents(out) == first
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "clip",
        "data",
        "mine.json",
        "mined",
    ]


def test_an_unusable_question_file_leaves_the_old_result(params, tmp_path):
    out = tmp_path / "mined"
    mine_stage(params, out, tmp_path / "mine.json")
    first = contents(out)
    (tmp_path / "data/qa.json").write_text("{")
    with pytest.raises(DataError, match="not valid JSON"):
        mine_stage(params, out, tmp_path / "mine.json")
    assert contents(out) == first


def test_a_directory_with_other_files_is_never_replaced(params, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home/thesis.tex").touch()
    with pytest.raises(DataError, match=r"holds 'thesis\.tex', which mining did not make"):
        mine_stage(params, tmp_path / "home", tmp_path / "mine.json")
    with pytest.raises(DataError, match="not a directory"):
        mine_stage(params, tmp_path / "home/thesis.tex", tmp_path / "mine.json")
    assert (tmp_path / "home/thesis.tex").exists()


def test_a_backbone_without_section_is_named(params, tmp_path):
    params = override(params, {"mine": MineConfig(backbone="clip_untrained")})
    with pytest.raises(ConfigError, match=r"no section extract\.clip_untrained"):
        mine_stage(params, tmp_path / "mined", tmp_path / "mine.json")


def test_the_command_finishes_the_others_and_ends_with_the_first_failure(
    params, tmp_path, monkeypatch
):
    root = tmp_path / "data"
    write_items(root, item("bad", 99), item("empty"), item("q1", 1.0))
    settings = {
        "data": {"root": str(root)},
        "extract": {"clip": {"model": f"local-dir:{tmp_path / 'clip'}", "weights": "untrained"}},
        "mine": {"threshold": THRESHOLD},
    }
    (tmp_path / "params.yaml").write_text(json.dumps(settings))
    out = tmp_path / "mined"
    options = ["--out", str(out), "--metrics", str(tmp_path / "mine.json")]
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    result = CliRunner().invoke(app, [*options, "--params", str(tmp_path / "params.yaml")])
    assert isinstance(result.exception, BatchError)
    assert "1 of 3 items could not be mined, first: " in result.exception.message
    assert "qa.json:1: item 'bad': support_frames[0] = 99 s" in result.exception.message
    assert "1 of 3 items, 1 true" in result.output
    assert "1 items have nothing to mine" in result.output
    assert [path.name for path in (out / "sheets").iterdir()] == ["q1.png"]
    assert json.loads((tmp_path / "mine.json").read_text())["items_failed"] == 1
    assert len(list((tmp_path / "data/.scratch/mining").iterdir())) == 1

    settings["mine"]["on_failure"] = "list"
    (tmp_path / "params.yaml").write_text(json.dumps(settings))
    result = CliRunner().invoke(app, [*options, "--params", str(tmp_path / "params.yaml")])
    assert result.exit_code == 0
    assert f"1 items failed: {out / 'failures.csv'}" in result.output


def test_the_question_file_is_named_in_the_parameters(params, tmp_path):
    (tmp_path / "data/qa.json").rename(tmp_path / "data/train.json")
    params = override(params, {"data": replace(params.data, questions="train.json")})
    report = mine_stage(params, tmp_path / "mined", tmp_path / "mine.json")
    assert len(report.mined) == 2

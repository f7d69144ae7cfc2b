"""From a folder of .npy features and tables of events to metrics, without any video."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from pipeline_lib.params_file import load_params
from pipeline_lib.trainers.checkpoints import read_checkpoint
from pipeline_lib.trainers.coop.prompts import load_text_tower
from stages import annotate_filter, evaluate, import_features, import_prompts, pack_windows, train

CLIP = Path(__file__).parents[2] / "data" / "weights" / "demo_clip"
CLASSES = ("normal", "stop_light", "go_light")
T, DIM = 12, 64
PARAMS = f"""
data: {{root: own}}
extract: {{backbones: [], clip: {{model: "local-dir:{CLIP}"}}}}
train: {{backbone: clip, n_ctx: 4, epochs: 2, lr: 0.01}}
evaluate: {{timelines: 2}}
"""


def call(app: typer.Typer, *arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception:
        raise done.exception
    return done.output


def write_data(folder: Path) -> None:
    """Features that lie around one direction a class, within an event or all of the video."""
    directions = {name: np.random.default_rng(n).normal(size=DIM) for n, name in enumerate(CLASSES)}
    (folder / "annotations").mkdir(parents=True)
    for number, (split, videos) in enumerate({"train": 4, "val": 2, "test": 2}.items()):
        for name in CLASSES:
            lines = []
            for video in range(videos):
                rng = np.random.default_rng([number, CLASSES.index(name), video])
                rows = directions["normal"] + rng.normal(size=(T, DIM))
                rows[4:8] += directions[name] - directions["normal"]
                path = folder / "features" / split / name / f"{name}_{split}_{video}.npy"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, rows.astype(np.float16))
                lines.append(f"{path.stem},00:04,00:08\n")
            table = folder / "annotations" / f"{name}_timestamp.csv"
            if name != "normal":
                head = "" if table.exists() else "file_name,start_time,end_time\n"
                with table.open("a", encoding="utf-8") as file:
                    file.writelines([head, *lines])


def save_as_coop_does(checkpoint: Path, path: Path) -> None:
    """The trained prompts in the form of github.com/KaiyangZhou/CoOp, names in half precision."""
    tensors, metadata = read_checkpoint(checkpoint)
    params = load_params(Path("params.yaml"))
    tower = load_text_tower(params.extract, "clip", torch.device("cpu"))
    texts = [f"X X X X {name}." for name in metadata["prompt_names"]]
    rows = tower.embed(tower.tokenize(texts)).half()
    state = {"ctx": tensors["ctx"], "token_prefix": rows[:, :1], "token_suffix": rows[:, 5:]}
    torch.save({"state_dict": state, "epoch": 50}, path)


@pytest.mark.slow
def test_from_npy_files_to_metrics(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS)
    write_data(Path("own"))
    assert "24 imported" in call(import_features.app, "own/features", "clip")
    call(annotate_filter.app)
    call(pack_windows.app)
    call(train.app, "coop")
    call(evaluate.app, "coop")
    trained = json.loads(Path("metrics/coop.json").read_text())
    assert trained["test"]["frame"]["n"] == 6 * T
    assert trained["test"]["anomaly"]["seconds"] == 6 * T
    best = Path("data/models/coop/coop_best.safetensors")
    save_as_coop_does(best, Path("model.pth.tar-50"))
    said = call(import_prompts.app, "model.pth.tar-50")
    assert "3 classes: go_light, normal, stop_light" in said
    imported = "data/models/imported/coop_best.safetensors"
    call(evaluate.app, "coop", "--checkpoint", imported, "--out", "again")
    again = json.loads(Path("again/coop.json").read_text())
    for level in ("frame", "video", "anomaly"):
        assert again["test"][level] == trained["test"][level]
    assert set(again["test"]["control"]) == {"chance", "zero_shot"}

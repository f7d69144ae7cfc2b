"""The project in which the documentation is executed: the whole graph, finished, and very small."""

import shutil
import sys
from pathlib import Path

import numpy as np
import torch

from pipeline_lib.config import ClipConfig, ExtractConfig
from pipeline_lib.storage.atomic import write_json
from pipeline_lib.trainers.coop.prompts import load_text_tower
from tests.docs.shell import Shell
from tests.support.project import Project, checkout, edit
from tests.support.trainable_clips import transformers_clip
from tests.trainers.coop_import.checkpoints import learner, script

# A minute of one core for all stages together: what they do is tested elsewhere, here they run.
TINY = {
    "demo_data": {
        # Enough for `clipline init` to draw splits without a warning.
        "videos_per_class": {"train": 5, "val": 1, "test": 2},
        "seconds": 6.0,
        "motions": {
            "kinds": {"train": 2, "val": 1, "test": 1}, "repeats": 1, "seconds": 1.5,
            "width": 64, "height": 48,
        },
    },
    "demo_clip": {"steps": 2, "warmup_steps": 1, "held_out": 144, "backgrounds": 1},
    "train": {
        "epochs": 2,
        "pos_neg": {"epochs": 1},
        "tempme_stop": {"epochs": 1, "batch_size": 14, "dataset": {"val_ratio": 0.2}},
        "videomamba": {
            "epochs": 1, "warmup_epochs": 0, "batch_size": 14, "compare_scratch": False,
            "pretrain": {"epochs": 1, "warmup_epochs": 0, "batch_size": 14},
        },
    },
    "evaluate": {
        "pos_neg": {"random_draws": 2, "examples": 1},
        "tempme_stop": {"shuffles": 2, "examples": 1, "rerank": 5},
        "videomamba": {"examples": 1, "segments": 1},
    },
    "few_shot": {"shots": [1]},
    "runtime": {"threads": 1, "decode_workers": 1, "mine_workers": 1},
}  # fmt: skip


# What `furnish` makes.
FURNITURE = (
    ".venv", "some", "some.mp4", "a.mp4", "video.mp4", "videos", "path", "queries.json", "other",
    "model.pth.tar-50", "saved_models",
)  # fmt: skip


def finished(folder: Path, warm: Path | None = None) -> Project:
    """A small copy of this checkout after `dvc repro` and a commit, with what the pages name."""
    project = checkout(folder)
    edit(folder / "params.yaml", TINY)
    _ignore_the_furniture(folder)
    project.run("git", "branch", "-m", "main")
    project.commit("smaller still")
    done = Shell(folder, folder.parent / "home", warm).run("dvc repro")
    assert done.code == 0, "\n".join(done.all)
    project.commit("finished")
    furnish(folder)
    return project


def _ignore_the_furniture(folder: Path) -> None:
    """So that git and experiments see nothing of it."""
    with (folder / ".git" / "info" / "exclude").open("a") as file:
        file.writelines(f"/{name}\n" for name in FURNITURE)


def furnish(folder: Path) -> None:
    """Make whatever the pages call `some/folder`, `some.mp4`, `queries.json` and so on."""
    _environment(folder / ".venv")
    videos = sorted((folder / "data/demo/videos/test").rglob("*.mp4"))
    for name in ("some.mp4", "a.mp4", "video.mp4"):
        shutil.copy(videos[0], folder / name)
    for place in ("some/folder", "videos", "path/to/videos"):
        (folder / place).mkdir(parents=True)
        for video, name in zip(videos, ("talk.mp4", "walk.mp4"), strict=False):
            shutil.copy(video, folder / place / name)
    query = {"id": "q1", "video": "talk.mp4", "caption": "a red ring"}
    write_json(folder / "queries.json", [query])
    _features_made_elsewhere(folder)
    _models_made_elsewhere(folder)
    shutil.copytree(folder / "data/windows/clip", folder / "other/windows/clip")


def _environment(folder: Path) -> None:
    """An environment that `make` takes for finished: it would clear a link to this one."""
    (folder / "bin").mkdir(parents=True)
    activate = f'export PATH="{Path(sys.executable).parent}:$PATH"\n'
    (folder / "bin" / "activate").write_text(activate)
    (folder / ".ready").touch()


def _features_made_elsewhere(folder: Path) -> None:
    """A data set that is only `.npy` features and annotations."""
    features = folder / "data/features/clip"
    for path in sorted(features.rglob("*.npy")):
        target = folder / "some/features" / path.relative_to(features)
        target.parent.mkdir(parents=True, exist_ok=True)
        np.save(target, np.load(path))
    shutil.copytree(folder / "data/demo/annotations", folder / "some/data/annotations")


def _models_made_elsewhere(folder: Path) -> None:
    """A checkpoint of another CoOp script with the classes of the demo, and a CLIPModel."""
    transformers_clip(folder / "saved_models/clip-finetuned")
    config = ExtractConfig(clip=ClipConfig(model=f"local-dir:{folder}/data/weights/demo_clip"))
    tower = load_text_tower(config, "clip", torch.device("cpu"))
    classes = sorted(path.name for path in (folder / "data/demo/videos/train").iterdir())
    tensors = learner(tower, names=tuple(classes))
    torch.save(script(tensors), folder / "model.pth.tar-50")

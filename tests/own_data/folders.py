"""Folders as users bring them, made of tiny videos."""

import json
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from pipeline_lib.own_data.command import Outcome, set_up
from pipeline_lib.own_data.inspection import Asked
from pipeline_lib.own_data.splitting import parse_shares
from tests.support.video_files import constant_rate

HEADER = "file_name,start_time,end_time\n"
PARAMS = """\
# The project's parameters.
data:
  root: data/demo           # where the videos are
  questions: qa.json
  exclude: []               # unusable ones
extract:
  clip: {model: "local-dir:data/weights/demo_clip"}
mine:
  threshold: 0.85           # fits the demo
train:
  normal_class: normal
  class_names: {}           # words
  tempme_stop:
    dataset:
      annotations: data/demo/clips/captions.json
      videos: data/demo/clips/videos
  videomamba:
    dataset:
      videos: data/demo/clips/videos  # a trap
"""


@cache
def _video(frames: int) -> Path:
    return constant_rate(Path(mkdtemp()) / "v.mp4", frames, rate=10)


def video(path: Path, frames: int = 40) -> Path:
    """A video of ``frames`` / 10 seconds; equal lengths have equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(_video(frames), path)
    return path


def classes(folder: Path, **counts: int) -> Path:
    """``{class}/{class}_{n}.mp4``, no two alike."""
    frames = 40
    for name, count in counts.items():
        for number in range(count):
            video(folder / name / f"{name}_{number}.mp4", frames)
            frames += 1
    return folder


def project(folder: Path, **counts: int) -> Path:
    """The project's layout: as many videos of each class in every split, annotated."""
    frames = 40
    for split in ("train", "val", "test"):
        for name, count in counts.items():
            for number in range(count):
                video(folder / "videos" / split / name / f"{split}_{number}.mp4", frames)
                frames += 1
    for name, count in counts.items():
        if name != "normal":
            table(folder, name, *(f"{s}_{n},1,2" for s in ("train", "val", "test")
                                  for n in range(count)))  # fmt: skip
    return folder


def table(folder: Path, name: str, *rows: str) -> Path:
    """``annotations/{name}_timestamp.csv``."""
    path = folder / "annotations" / f"{name}_timestamp.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return path


def questions(folder: Path, *videos: str) -> Path:
    """``qa.json`` with one item a video."""
    items = [
        {"id": number, "question": "q", "choices": [], "video_path": name, "support_frames": [1]}
        for number, name in enumerate(videos)
    ]
    (folder / "qa.json").write_text(json.dumps({"data": items}))
    return folder / "qa.json"


def captions(folder: Path, *videos: str) -> Path:
    """``captions.json`` with one item a video."""
    items = [{"video_path": name, "caption": "a caption"} for name in videos]
    (folder / "captions.json").write_text(json.dumps(items))
    return folder / "captions.json"


def init(folder: Path, into: Path | None = None, params: Path | None = None, **options) -> Outcome:
    """Run `clipline init` in the current folder."""
    params = params or Path("params.yaml")
    if not params.exists():
        params.write_text(PARAMS)
    asked = {"shares": parse_shares("70,15,15"), "seed": 1, "normal_class": None, "clip": None}
    return set_up(params, Asked(folder=folder, into=into, **(asked | options)))


def kinds(outcome: Outcome, level: str) -> list[str]:
    """The kinds of findings of a level."""
    return [finding.kind for finding in outcome.found.findings if finding.level == level]


def said(outcome: Outcome) -> str:
    """The whole report."""
    return "\n".join(outcome.lines())

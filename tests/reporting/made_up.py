"""A small project folder as the stages leave one."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from pipeline_lib.config import ReportConfig
from pipeline_lib.pictures.probability_timeline import ProbabilitySheet, ProbabilityTimeline
from pipeline_lib.pictures.timeline import picture_name
from pipeline_lib.reporting.project import Project
from pipeline_lib.storage.atomic import write_json
from pipeline_lib.storage.tables import write_csv, write_parquet
from tests.support.video_files import constant_rate

CLASSES = ("fall", "normal")
# Video, annotated, predicted.
VIDEOS = (
    ("test/fall/a", "fall", "fall"),
    ("test/fall/b", "fall", "normal"),
    ("test/normal/c", "normal", "normal"),
)
SECONDS = 10
COOP = {
    "test": {
        "frame": {"n": 30, "accuracy": 0.9, "balanced_accuracy": 0.8, "recall": {"fall": None}},
        "control": {
            "zero_shot": {"frame": {"accuracy": 0.5, "balanced_accuracy": 0.6}},
            "chance": {"frame": {"accuracy": 0.5, "balanced_accuracy": 0.5}},
        },
    }
}


def make(root: Path, **settings: int | float) -> Project:
    """The whole folder; ``settings`` are those of the section ``report``."""
    (root / "params.yaml").parent.mkdir(parents=True, exist_ok=True)
    report = json.dumps({"frame_every_s": 2.0, **settings})
    (root / "params.yaml").write_text(f"data: {{root: data/own}}\nreport: {report}\n")
    write_json(root / "metrics/coop.json", COOP)
    plots = root / "metrics/plots/coop"
    history = {"epoch": [1, 2, 3], "train_loss": [2.0, 1.0, 0.5], "val_loss": [2.0, None, 0.75]}
    for name in ("val_accuracy", "val_balanced_accuracy", "val_video_accuracy"):
        history[name] = [0.5, 0.75, 1.0]
    write_csv(plots / "history.csv", pd.DataFrame(history))
    pairs = {"actual": ["fall", "fall", "normal"], "predicted": ["fall", "normal", "normal"]}
    write_csv(plots / "confusion_video.csv", pd.DataFrame(pairs))
    recalls = {"class": list(CLASSES), "frame": [0.5, 1.0], "video": [0.25, None]}
    write_csv(plots / "recall_per_class.csv", pd.DataFrame(recalls))
    add_timelines(root)
    add_mined(root)
    return Project(root, root / "data/own/videos", ReportConfig(**settings))


def add_timelines(root: Path) -> None:
    """Predictions, pictures and videos whose frames are numbered."""
    names = ["video", "label", "predicted"]
    table = pd.DataFrame(VIDEOS, columns=names)
    write_parquet(root / "data/evaluation/coop/video_predictions.parquet", table)
    sheet = ProbabilitySheet(CLASSES, 1)
    starts = np.arange(float(SECONDS))
    for video, label, predicted in VIDEOS:
        timeline = ProbabilityTimeline(
            title=video,
            seconds=float(SECONDS),
            events=((2.0, 4.0),),
            starts=starts,
            ends=starts + 1,
            probabilities=np.tile([0.75, 0.25], (SECONDS, 1)),
            true_class=CLASSES.index(label),
            predicted_class=CLASSES.index(predicted),
        )
        sheet.draw(root / "metrics/plots/coop/timelines" / picture_name(video), timeline)
        path = root / "data/own/videos" / f"{video}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        constant_rate(path, SECONDS * 10, 10)


def add_mined(root: Path) -> None:
    """Two questions, one of which failed, and a picture of the other."""
    rows = [
        {"id": "a_dog", "video_path": "test/fall/a.mp4", "question": "When <b>barks</b> it?",
         "status": "mined", "reason": "", "message": ""},
        {"id": "b_cat", "video_path": "test/fall/b.mp4", "question": "When?",
         "status": "failed", "reason": "corrupt", "message": "<script>alert(1)</script>"},
    ]  # fmt: skip
    write_parquet(root / "data/mined/items.parquet", pd.DataFrame(rows))
    (root / "data/mined/sheets").mkdir(parents=True, exist_ok=True)
    Image.effect_noise((1400, 700), 40).save(root / "data/mined/sheets/a_dog.png")


def git(root: Path, *words: str, date: str = "2026-03-01T12:00:00+00:00") -> str:
    """Run git in a folder, as somebody, at a certain time."""
    named = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    times = {"GIT_COMMITTER_DATE": date, "GIT_AUTHOR_DATE": date}
    return subprocess.run(
        ["git", *named, *words], cwd=root, check=True, capture_output=True, text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(root), **times},
    ).stdout  # fmt: skip


def commit(root: Path, message: str, date: str = "2026-03-01T12:00:00+00:00") -> str:
    """Commit all files; the name of the commit."""
    git(root, "add", "-A", date=date)
    git(root, "commit", "-q", "--allow-empty", "-m", message, date=date)
    return git(root, "rev-parse", "HEAD").strip()

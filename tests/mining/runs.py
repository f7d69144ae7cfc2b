"""Mining of the numbered videos of ``conftest.py``, with one call."""

import hashlib

import pandas as pd

from pipeline_lib.config import MineConfig
from pipeline_lib.datasets.questions import Question, QuestionFile
from pipeline_lib.mining.items import VideoFolder
from pipeline_lib.mining.run import Miner
from tests.mining.number_backbone import NumberBackbone

FPS = 25
# Frames more than 18 degrees, so more than 18 frames, away from every true frame pass.
CONFIG = MineConfig(segments=5, frames_per_segment=2, tries_per_segment=6, threshold=0.951)


def question(name, *times, video="train/a/long.mp4", line=1):
    return Question(
        id=name,
        line=line,
        question=f"What is {name}?",
        choices=("one", "two"),
        video_path=video,
        support_frames=tuple(map(float, times)),
    )


def mine(
    videos, out, *questions, config=CONFIG, backbone=None, exclude=(), faults=(), workers=2,
    scratch=None,
):  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    miner = Miner(backbone or NumberBackbone(), config, out, workers=workers, scratch=scratch)
    report = miner.run(QuestionFile(questions, tuple(faults)), VideoFolder(videos, exclude))
    report.write_tables(out)
    return report


def table(out):
    return pd.read_parquet(out / "mined.parquet")


def tree(out):
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }

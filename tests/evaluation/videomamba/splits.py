"""Splits whose answers are written down."""

from pathlib import Path

import numpy as np

from pipeline_lib.datasets.video_clips.items import ClipItem, ClipList
from pipeline_lib.datasets.video_lists.missing import MissingVideo
from pipeline_lib.evaluation.videomamba.answers import TRAINED, AnsweredSplit, Answers
from pipeline_lib.evaluation.videomamba.drawn import Shown


class StillStore:
    """Two frames of each window, one darker than the other."""

    def __init__(self, items):
        self.items = items

    def test_indices(self, row, segment=0, segments=1):
        return np.array([2 * segment, 2 * segment + 1])

    def read(self, row, indices):
        frames = np.full((len(indices), 24, 32, 3), 10 * row, np.uint8)
        return frames + np.asarray(indices, np.uint8)[:, None, None, None]


def answers(videos, rows):
    """One view a row; views of a video are counted."""
    views = [f"{video} {sum(v == video for v in videos[:n])}" for n, video in enumerate(videos)]
    return Answers(tuple(videos), tuple(views), np.array(rows, dtype=np.float64))


def answered(labels, rows, *, names=None, train=None, missing=0, views=1, **controls):
    """Videos v0, v1, … with ``views`` rows each, all of the first view first."""
    videos = [f"v{number}" for number in range(len(labels))]
    items = tuple(
        ClipItem(video, video, Path(f"{video}.mp4"), label)
        for video, label in zip(videos, labels, strict=True)
    )
    gone = tuple(MissingVideo(f"gone{n}", "gone.mp4", "no file") for n in range(missing))
    everyone = {TRAINED: rows} | controls
    return AnsweredSplit(
        "test",
        ClipList(items, names, gone),
        {name: answers(videos * views, found) for name, found in everyone.items()},
        None if train is None else np.array(train),
    )


def shown(*args, **options):
    split = answered(*args, **options)
    return Shown(split, StillStore(split.clips.items), 1)

"""Splits whose similarities are written down, and a small project with a real model."""

import json
from pathlib import Path

import numpy as np
import torch
from ruamel.yaml import YAML

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.retrieval_model import load_retrieval_model
from pipeline_lib.config import TempMeStopModelConfig
from pipeline_lib.datasets.video_lists.missing import MissingVideo
from pipeline_lib.datasets.video_text.items import VideoItem, VideoText
from pipeline_lib.evaluation.tempme_stop.scores import TRAINED, UNTRAINED, ZERO_SHOT, SplitScores
from tests.support.retrieval_models import Shape, opened, write_clip
from tests.support.video_files import constant_rate

BEST = Path("data/models/tempme_stop/best")
ARCHITECTURE = {
    "clips": 2, "merge_layer": (1, 2), "merge_frame_num": (2, 2), "tome_r": 1,
    "spatial_width": 8, "max_words": 8,
}  # fmt: skip
PARAMS = {
    "data": {"root": "data/own"},
    "extract": {"precision": "fp32", "batch_size": 8, "clip": {"model": "local-dir:data/clip"}},
    "evaluate": {"tempme_stop": {"shuffles": 3, "examples": 2, "rerank": 2}},
}


def scored(
    similarity,
    *,
    texts=None,
    video_of_text=None,
    zero_shot=None,
    untrained=None,
    bank=None,
    reranked=None,
    equal_captions=False,
    paths=None,
    missing=0,
):
    """One split; by default text i is of video i."""
    table = np.array(similarity, dtype=np.float32)
    n_texts, n_videos = table.shape
    owners = np.arange(n_texts) if video_of_text is None else np.array(video_of_text)
    words = tuple(texts or [f"caption {row}" for row in range(n_texts)])
    names = [f"v{row}" for row in range(n_videos)]
    files = paths or [f"{name}.mp4" for name in names]
    items = tuple(VideoItem(name, Path(file)) for name, file in zip(names, files, strict=True))
    gone = tuple(MissingVideo(f"gone {row}", "gone.mp4", "no file") for row in range(missing))
    others = {ZERO_SHOT: zero_shot, UNTRAINED: untrained}
    return SplitScores(
        "test",
        VideoText(items, words, owners.astype(np.int64), gone),
        equal_captions,
        {TRAINED: table}
        | {name: table if it is None else np.array(it, np.float32) for name, it in others.items()},
        None if bank is None else np.array(bank, np.float32),
        reranked,
    )


def write_params(**train):
    train = {"tempme_stop": {**ARCHITECTURE, **train}}
    with Path("params.yaml").open("w") as file:
        YAML(typ="safe", pure=True).dump(as_plain(PARAMS | {"train": train}), file)


def as_plain(value):
    return json.loads(json.dumps(value))


def write_project(**architecture):
    """Videos of three splits with captions, a random CLIP, and a model around it."""
    items = []
    for split, count in (("train", 3), ("val", 3), ("test", 5)):
        for number in range(count):
            path = f"{split}/a/{number}.mp4"
            constant_rate(
                Path("data/own/videos") / path, 10 + 5 * number, 10, size=(64 + 16 * number, 48)
            )
            captions = (f"{split} number {number}", "the same words")[: 1 + number % 2]
            items += [{"video_path": path, "caption": caption} for caption in captions]
    Path("data/own/captions.json").write_text(json.dumps({"data": items}))
    section = write_clip(Path("data/clip"), Shape(layers=4))
    config = TempMeStopModelConfig(**{**ARCHITECTURE, **architecture})
    model = load_retrieval_model(section, config, Placement(torch.device("cpu"), "fp32", 8))
    opened(model.network)
    model.save(BEST)
    write_params()

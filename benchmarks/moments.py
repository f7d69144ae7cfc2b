"""How often the best moment of a video lies where its object is, over the spacing of frames.

On the demo's long videos, asked for "a red ring" where an annotated moment shows one: the share of
questions whose best frame lies inside an annotated interval of that object, beside the share of
the video that these intervals cover.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common import options, report
from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.retrieval_model import (
    RetrievalModel,
    load_retrieval_model,
    open_retrieval_model,
)
from pipeline_lib.retrieval.dense import dense_record
from pipeline_lib.retrieval.moments import frame_scores
from pipeline_lib.retrieval.records import VideoRecord

SPACINGS_S = {"the frames of the embedding": 1e9, "2 s": 2.0, "1 s": 1.0, "0.5 s": 0.5}


def questions(root: Path, split: str) -> Iterator[tuple[Path, list[dict[str, Any]]]]:
    """Videos of a split with their annotated moments."""
    of_video: dict[str, list[dict[str, Any]]] = {}
    for item in json.loads((root / "captions.json").read_text())["data"]:
        if item["video_path"].startswith(f"{split}/"):
            of_video.setdefault(item["video_path"], []).append(item)
    for path, items in of_video.items():
        yield root / "videos" / path, items


def found(model: RetrievalModel, record: VideoRecord, items: list[dict[str, Any]]) -> list[bool]:
    """For each moment of a video whether the best frame lies in one of its object's."""
    inside = []
    for item in items:
        [query] = model.encode_texts([f"a {item['colour']} {item['shape']}"]).numpy()
        best_s = record.pts_s[frame_scores(record, query).argmax()]
        inside.append(any(a <= best_s < b for a, b in spans(item, items)))
    return inside


def spans(item: dict[str, Any], items: list[dict[str, Any]]) -> list[tuple[float, float]]:
    """The intervals in which the object of ``item`` is seen."""
    same = [i for i in items if (i["colour"], i["shape"]) == (item["colour"], item["shape"])]
    return [(i["start_s"], i["end_s"]) for i in same]


def main() -> None:
    """Measure and report."""
    parser = options(__doc__ or "")
    parser.add_argument("--model", type=Path, default=Path("data/models/tempme_stop/best"))
    parser.add_argument("--data", type=Path, default=Path("data/demo"))
    parser.add_argument("--split", default="test")
    given = parser.parse_args()
    torch.set_num_threads(1)
    placement = Placement(batch_size=96)
    trained = open_retrieval_model(given.model, placement)
    models = {
        "trained": trained,
        "before training": load_retrieval_model(trained.section, trained.config, placement),
    }
    videos = list(questions(given.data, given.split))
    figures: dict[str, Any] = {"questions": sum(len(items) for _, items in videos)}
    covered: list[float] = []
    for name, model in models.items():
        figures[name] = {}
        for spacing, every_s in SPACINGS_S.items():
            inside: list[bool] = []
            for path, items in videos:
                record = dense_record(path, model, every_s)
                inside += found(model, record, items)
                seen = [sum(b - a for a, b in spans(item, items)) for item in items]
                covered += [length_s / record.duration_s for length_s in seen]
            figures[name][spacing] = round(float(np.mean(inside)), 3)
    figures["chance"] = round(float(np.mean(covered)), 3)
    report("moments", figures, save=given.save)


if __name__ == "__main__":
    main()

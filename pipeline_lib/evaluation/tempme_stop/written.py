"""What an evaluation leaves on disk beside its numbers and plots."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline_lib.evaluation.tempme_stop.scores import TRAINED, ZERO_SHOT
from pipeline_lib.evaluation.tempme_stop.tree import MeasuredSplit
from pipeline_lib.storage.atomic import replacing
from pipeline_lib.storage.tables import write_parquet

_TEXT, _NUMBER, _WHOLE = pa.string(), pa.float64(), pa.int64()
_TEXTS = pa.schema(
    {
        "split": _TEXT,
        "row": _WHOLE,
        "text": _TEXT,
        "video": _TEXT,
        "rank": _WHOLE,
        "zero_shot_rank": _WHOLE,
        "score": _NUMBER,
        "best_video": _TEXT,
        "best_score": _NUMBER,
    }
)
_VIDEOS = pa.schema(
    {
        "split": _TEXT,
        "row": _WHOLE,
        "video": _TEXT,
        "path": _TEXT,
        "start_s": _NUMBER,
        "end_s": _NUMBER,
        "at_most_s": _NUMBER,
        "texts": _WHOLE,
        "rank": _WHOLE,
        "zero_shot_rank": _WHOLE,
        "best_text": _TEXT,
        "best_score": _NUMBER,
    }
)


def write_tables(folder: Path, measured: Sequence[MeasuredSplit]) -> None:
    """Write what all numbers follow from.

    * ``texts.parquet``: a row a text with its video, the rank of the best video that belongs to it
      by the trained model and by the plain CLIP, its cosine with its own video, and the video with
      the highest one.
    * ``videos.parquet``: a row a video, the same with texts.
    * ``similarity_<split>.npy``: the trained model's cosines, float32 [texts, videos]; ``row`` of
      the tables says which is which.
    """
    texts = [row for one in measured for row in _text_rows(one)]
    write_parquet(folder / "texts.parquet", pd.DataFrame(texts, columns=_TEXTS.names), _TEXTS)
    videos = [row for one in measured for row in _video_rows(one)]
    write_parquet(folder / "videos.parquet", pd.DataFrame(videos, columns=_VIDEOS.names), _VIDEOS)
    for one in measured:
        table = np.ascontiguousarray(one.scores.similarity[TRAINED], dtype=np.float32)
        with replacing(folder / f"similarity_{one.scores.split}.npy") as temporary:
            np.save(temporary, table, allow_pickle=False)


def _text_rows(one: MeasuredSplit) -> Iterable[dict[str, Any]]:
    data, similarity = one.scores.data, one.scores.similarity[TRAINED]
    best = similarity.argmax(axis=1)
    ranks, before = (one.ranks[name][0].t2v for name in (TRAINED, ZERO_SHOT))
    for row, text in enumerate(data.texts):
        own = int(data.video_of_text[row])
        yield {
            "split": one.scores.split,
            "row": row,
            "text": text,
            "video": data.videos[own].id,
            "rank": int(ranks[row]),
            "zero_shot_rank": int(before[row]),
            "score": float(similarity[row, own]),
            "best_video": data.videos[best[row]].id,
            "best_score": float(similarity[row, best[row]]),
        }


def _video_rows(one: MeasuredSplit) -> Iterable[dict[str, Any]]:
    data, similarity = one.scores.data, one.scores.similarity[TRAINED]
    best = similarity.argmax(axis=0)
    texts = np.bincount(data.video_of_text, minlength=len(data.videos))
    ranks, before = (one.ranks[name][0].v2t for name in (TRAINED, ZERO_SHOT))
    for row, video in enumerate(data.videos):
        yield {
            "split": one.scores.split,
            "row": row,
            "video": video.id,
            "path": video.path.as_posix(),
            "start_s": video.start_s,
            "end_s": video.end_s,
            "at_most_s": video.at_most_s,
            "texts": int(texts[row]),
            "rank": int(ranks[row]),
            "zero_shot_rank": int(before[row]),
            "best_text": data.texts[best[row]],
            "best_score": float(similarity[best[row], row]),
        }

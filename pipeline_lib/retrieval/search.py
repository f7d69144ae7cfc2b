"""Moments that fit a query: in one video, or in a folder of embedded ones."""

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline_lib.backbones.retrieval_model import RetrievalModel
from pipeline_lib.errors import CliplineError, ConfigError, DataError, VideoError, WeightsError
from pipeline_lib.retrieval.catalogue import (
    INDEX,
    Manifest,
    entries_of_rows,
    read_manifest,
    read_table,
)
from pipeline_lib.retrieval.embedding import Failed, embed_files, model_fingerprint
from pipeline_lib.retrieval.moments import Moment, find_moments, frame_scores
from pipeline_lib.retrieval.queries import embed_query
from pipeline_lib.retrieval.records import VideoRecord, read_record
from pipeline_lib.retrieval.vector_index import VectorIndex

# Vectors of the videos that were asked for last: a batch asks the same one again and again.
_REMEMBERED = 256


@dataclass(frozen=True)
class MomentOptions:
    """What is looked for.

    Attributes:
        top_k: Most moments of a video.
        segments: Equal parts of the timeline that label a moment.
        threshold: Least score of a moment; ``None`` has none.

    Raises:
        ConfigError: One of them is out of range.
    """

    top_k: int = 5
    segments: int = 32
    threshold: float | None = None

    def __post_init__(self) -> None:
        for name in ("top_k", "segments"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} = {getattr(self, name)}: it has to be at least 1.")


@dataclass(frozen=True)
class Found:
    """The moments of one video.

    Attributes:
        video: The file, as the user would name it.
        query: What was looked for.
        moments: Best first.
        record: Vectors and times of its sampled frames.
        scores: float64 [N], of each of them.
        video_score: The cosine of the whole video with the query.
        seconds: How long it took.
    """

    video: Path
    query: str
    moments: Sequence[Moment]
    record: VideoRecord
    scores: NDArray[np.float64]
    video_score: float
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON: ``frames``, ``timestamps_s``, ``scores`` and ``segments`` go side by side."""
        return {
            "video_path": str(self.video),
            "query": self.query,
            "frames": [moment.source_frame for moment in self.moments],
            "timestamps_s": [moment.timestamp_s for moment in self.moments],
            "scores": [moment.score for moment in self.moments],
            "segments": [moment.as_dict() for moment in self.moments],
            "video_score": self.video_score,
            "inference_time": round(self.seconds, 3),
            "status": "success",
            "error": None,
        }


def failed(video: str, query: str, error: CliplineError) -> dict[str, Any]:
    """The result of a query that could not be answered, as :meth:`Found.as_dict` has the others."""
    return {
        "video_path": video,
        "query": query,
        "frames": [],
        "timestamps_s": [],
        "scores": [],
        "segments": [],
        "video_score": None,
        "inference_time": None,
        "status": "failed",
        "error": error.message,
    }


class Searcher:
    """Answers queries with one model.

    Args:
        model: Embeds videos and queries.
    """

    def __init__(self, model: RetrievalModel) -> None:
        self.model = model
        self._records: OrderedDict[Path, VideoRecord] = OrderedDict()
        self._opened: tuple[tuple[Path, str], VectorIndex, pd.DataFrame] | None = None

    def record(self, video: Path) -> VideoRecord:
        """The vectors of a video.

        Raises:
            VideoError: It cannot be read.
        """
        if video not in self._records:
            [outcome] = embed_files([video], self.model)
            if isinstance(outcome, Failed):
                raise VideoError(outcome.message, reason=outcome.reason)
            self._records[video] = outcome.record
            if len(self._records) > _REMEMBERED:
                self._records.popitem(last=False)
        self._records.move_to_end(video)
        return self._records[video]

    def in_video(self, video: Path, query: str, options: MomentOptions) -> Found:
        """The moments of one video.

        Raises:
            DataError: The query is blank or no text.
            VideoError: The video cannot be read.
            WeightsError: The model gives no finite vectors.
        """
        start = time.perf_counter()
        direction = embed_query(self.model, query)
        found = _found(video, query, direction, self.record(video), options)
        return _timed(found, time.perf_counter() - start)

    def answer(self, query: Mapping[str, Any], options: MomentOptions) -> Found | dict[str, Any]:
        """One query of a batch; where it cannot be answered, its result with the error.

        Args:
            query: With ``video_path`` or ``video``, and ``query``.
            options: What is looked for.

        Raises:
            WeightsError: The model gives no finite vectors.
        """
        video, text = query.get("video_path", query.get("video")), query.get("query")
        if not isinstance(video, str | Path) or not isinstance(text, str):
            fault = DataError('A query is {"video_path": …, "query": …}, both of them text.')
            return failed(str(video), str(text), fault)
        try:
            return self.in_video(Path(video), text, options)
        except (DataError, VideoError) as error:
            return failed(str(video), text, error)

    def in_folder(
        self, folder: Path, query: str, videos: int, options: MomentOptions
    ) -> list[Found]:
        """The videos of a folder of embeddings that fit best, best first, with their moments.

        No video is opened.

        Args:
            folder: What ``embed`` wrote.
            query: What to look for.
            videos: Most videos.
            options: Moments of each of them.

        Raises:
            DataError: The folder is damaged, empty, or the query is blank.
            WeightsError: The folder was embedded by another model.
        """
        start = time.perf_counter()
        manifest = read_manifest(folder)
        self._refuse_other_model(folder, manifest)
        if not manifest.embedded:
            raise DataError(f"{folder}: none of its videos could be embedded.")
        if self._opened is None or self._opened[0] != (folder, manifest.content):
            opened = VectorIndex(folder / INDEX), read_table(folder)
            self._opened = ((folder, manifest.content), *opened)
        _, index, table = self._opened
        direction = embed_query(self.model, query)
        hits = index.search(direction, videos)
        entries = entries_of_rows(table, hits.rows)
        results = []
        for row in hits.rows.tolist():
            entry = entries.get(row)
            record = read_record(folder, entry.name) if entry else None
            if entry is None or record is None:
                raise DataError(
                    f"{folder}: not whole, a run of embedding was interrupted.",
                    hint="Run `clipline embed` again; finished videos are kept.",
                )
            path = Path(manifest.source) / entry.relative
            results.append(_found(path, query, direction, record, options))
        seconds = time.perf_counter() - start
        return [_timed(found, seconds) for found in results]

    def _refuse_other_model(self, folder: Path, manifest: Manifest) -> None:
        if manifest.fingerprint != model_fingerprint(self.model):
            raise WeightsError(
                f"{folder} was embedded by another model: cosines between the two mean nothing.",
                hint="Name that model (--model or --config), or embed the videos again with this "
                "one.",
            )


def _found(
    video: Path,
    query: str,
    direction: NDArray[np.float32],
    record: VideoRecord,
    options: MomentOptions,
) -> Found:
    scores = frame_scores(record, direction)
    moments = find_moments(
        record, scores, options.top_k, segments=options.segments, threshold=options.threshold
    )
    whole = round(float(record.video.astype(np.float64) @ direction.astype(np.float64)), 6)
    return Found(video, query, moments, record, scores, whole, 0.0)


def _timed(found: Found, seconds: float) -> Found:
    return Found(**{**vars(found), "seconds": seconds})

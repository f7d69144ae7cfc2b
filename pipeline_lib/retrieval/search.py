"""Moments that fit a query: in one video, or in a folder of embedded ones."""

import math
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.backbones.retrieval_model import RetrievalModel
from pipeline_lib.errors import CliplineError, ConfigError, DataError, VideoError
from pipeline_lib.retrieval.catalogue import read_manifest
from pipeline_lib.retrieval.dense import dense_record
from pipeline_lib.retrieval.embedded_folder import EmbeddedFolder
from pipeline_lib.retrieval.embedding import Failed, embed_files
from pipeline_lib.retrieval.moments import Moment, find_moments, frame_scores
from pipeline_lib.retrieval.queries import embed_query
from pipeline_lib.retrieval.records import VideoRecord
from pipeline_lib.retrieval.unified_config import UnifiedModelConfig

# A batch asks the same video again and again: so many frame vectors, of those that were asked for
# last, are kept; the vectors of one video are, whatever their number.
_REMEMBERED = 2**17
# Short events last a second or two; more frames show little that is new, and each costs time.
EVERY_S = 0.5
_LEAST_EVERY_S = 0.001


@dataclass(frozen=True)
class MomentOptions:
    """What is looked for.

    Attributes:
        top_k: Most moments of a video.
        segments: Equal parts of the timeline that label a moment.
        threshold: Least score of a moment; ``None`` has none.
        every_s: Seconds between two scored frames, at most; ``None`` scores the N frames that the
            embedding of the whole video is made of.

    Raises:
        ConfigError: One of them is out of range.
    """

    top_k: int = 5
    segments: int = 32
    threshold: float | None = None
    every_s: float | None = EVERY_S

    def __post_init__(self) -> None:
        for name in ("top_k", "segments"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} = {getattr(self, name)}: it has to be at least 1.")
        if self.every_s is not None and not _LEAST_EVERY_S <= self.every_s < math.inf:
            raise ConfigError(
                f"every = {self.every_s:g}: seconds between two scored frames, at least "
                f"{_LEAST_EVERY_S:g}."
            )

    @classmethod
    def of(
        cls, settings: UnifiedModelConfig, top_k: int | None = None, every_s: float | None = None
    ) -> "MomentOptions":
        """What ``settings`` say, where it is not given here."""
        fps = settings.video_fps
        return cls(
            settings.top_k if top_k is None else top_k,
            settings.num_segments,
            settings.similarity_threshold,
            (EVERY_S if fps is None else 1 / fps) if every_s is None else every_s,
        )


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
        self._records: OrderedDict[tuple[Path, float | None], VideoRecord] = OrderedDict()
        self._opened: tuple[tuple[Path, str], EmbeddedFolder] | None = None

    def record(self, video: Path, every_s: float | None = None) -> VideoRecord:
        """The vectors of a video.

        Args:
            video: The file.
            every_s: As :class:`MomentOptions` has it.

        Raises:
            VideoError: It cannot be read.
        """
        key = (video, every_s)
        if key not in self._records:
            self._records[key] = self._embedded(video, every_s)
            kept = sum(len(record.pts_s) for record in self._records.values())
            while kept > _REMEMBERED and len(self._records) > 1:
                kept -= len(self._records.popitem(last=False)[1].pts_s)
        self._records.move_to_end(key)
        return self._records[key]

    def _embedded(self, video: Path, every_s: float | None) -> VideoRecord:
        if every_s is not None:
            return dense_record(video, self.model, every_s)
        [outcome] = embed_files([video], self.model)
        if isinstance(outcome, Failed):
            raise VideoError(outcome.message, reason=outcome.reason)
        return outcome.record

    def in_video(self, video: Path, query: str, options: MomentOptions) -> Found:
        """The moments of one video.

        Raises:
            DataError: The query is blank or no text.
            VideoError: The video cannot be read.
            WeightsError: The model gives no finite vectors.
        """
        start = time.perf_counter()
        direction = embed_query(self.model, query)
        found = score_moments(video, query, direction, self.record(video, options.every_s), options)
        return _timed(found, time.perf_counter() - start)

    def answer(self, query: Any, options: MomentOptions) -> Found | dict[str, Any]:
        """One query of a batch; where it cannot be answered, its result with the error.

        Args:
            query: A mapping with ``video_path`` or ``video``, and ``query``.
            options: What is looked for.

        Raises:
            WeightsError: The model gives no finite vectors.
        """
        if not isinstance(query, Mapping):
            fault = DataError(f'{query!r} is no query: {{"video_path": …, "query": …}}.')
            return failed("", "", fault)
        video, text = query.get("video_path", query.get("video")), query.get("query")
        try:
            if not isinstance(video, str | Path):
                raise DataError(_no_text("video_path", video))
            if not isinstance(text, str):
                raise DataError(_no_text("query", text))
            return self.in_video(Path(video), text, options)
        except (DataError, VideoError) as error:
            return failed(str(video or ""), str(text or ""), error)

    def in_folder(
        self, folder: Path, query: str, videos: int, options: MomentOptions
    ) -> list[Found | dict[str, Any]]:
        """The videos of a folder of embeddings that fit best, best first, with their moments.

        With ``options.every_s`` these videos are opened, and one that cannot be has its result
        with the error; otherwise their moments are found in what ``embed`` kept of them.

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
        content = read_manifest(folder).content
        if self._opened is None or self._opened[0] != (folder, content):
            self._opened = (folder, content), EmbeddedFolder(folder, self.model)
        _, opened = self._opened
        direction = embed_query(self.model, query)
        results: list[Found | dict[str, Any]] = []
        for entry, kept in opened.nearest(direction, videos):
            path = opened.path(entry)
            try:
                record = self._looked_through(path, kept, options)
            except VideoError as error:
                results.append(failed(str(path), query, error))
                continue
            results.append(score_moments(path, query, direction, record, options))
        seconds = time.perf_counter() - start
        return [_timed(one, seconds) if isinstance(one, Found) else one for one in results]

    def _looked_through(
        self, video: Path, kept: VideoRecord, options: MomentOptions
    ) -> VideoRecord:
        """The record that moments of an embedded video are found in: what was kept, or more."""
        if options.every_s is None:
            return kept
        record = self.record(video, options.every_s)
        if record.sha256 != kept.sha256:
            raise VideoError(f"{video}: not the file that was embedded.", reason="changed")
        return record


def score_moments(
    video: Path,
    query: str,
    direction: NDArray[np.float32],
    record: VideoRecord,
    options: MomentOptions,
) -> Found:
    """The moments of a video whose vectors are known.

    Args:
        video: The file, as the user would name it.
        query: What was looked for.
        direction: float32 [D], its unit vector.
        record: Of the video.
        options: What is looked for.
    """
    scores = frame_scores(record, direction)
    moments = find_moments(
        record, scores, options.top_k, segments=options.segments, threshold=options.threshold
    )
    whole = round(float(record.video.astype(np.float64) @ direction.astype(np.float64)), 6)
    return Found(video, query, moments, record, scores, whole, 0.0)


def _no_text(name: str, value: object) -> str:
    return f"{name} is missing." if value is None else f"{name} = {value!r}: it has to be text."


def _timed(found: Found, seconds: float) -> Found:
    return Found(**{**vars(found), "seconds": seconds})

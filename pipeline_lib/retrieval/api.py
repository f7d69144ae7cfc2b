"""Embedding and retrieval from Python."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.backbones.retrieval_model import RetrievalModel
from pipeline_lib.retrieval.files import EmbedOptions
from pipeline_lib.retrieval.models import ModelChoice, open_model
from pipeline_lib.retrieval.moments import Moment
from pipeline_lib.retrieval.run import EmbeddingRun
from pipeline_lib.retrieval.search import Found, MomentOptions, Searcher
from pipeline_lib.retrieval.unified_config import UnifiedModelConfig
from pipeline_lib.retrieval.written import parse_formats
from pipeline_lib.storage.hash_cache import HashCache

Configured = UnifiedModelConfig | Path | str | None


class UnifiedTempMeSTOPModel:
    """A model for text-video retrieval that is loaded when it is first used.

    Args:
        config: A configuration or its JSON file; ``None`` is what the trained model's folder says.
        weights: Folder of a trained model; ``None`` is what the configuration names, or the
            project's best one.
        device: ``auto``, ``cpu``, ``cuda`` …; ``None`` is what the configuration says.
        allow_untrained: Take a model that was never trained, too.
    """

    def __init__(
        self,
        config: Configured = None,
        *,
        weights: Path | str | None = None,
        device: str | None = None,
        allow_untrained: bool = False,
    ) -> None:
        if isinstance(config, Path | str):
            config = UnifiedModelConfig.from_json(config)
        folder = Path(weights) if weights is not None else None
        self._choice = ModelChoice(folder, config, device, allow_untrained)

    def to(self, device: str) -> "UnifiedTempMeSTOPModel":
        """The same model on another device."""
        moved = UnifiedTempMeSTOPModel()
        moved._choice = replace(self._choice, device=device)
        return moved

    def eval(self) -> "UnifiedTempMeSTOPModel":
        """The model itself, which never trains: `clipline train tempme_stop` does."""
        return self

    @property
    def model(self) -> RetrievalModel:
        """The network with its CLIP.

        Raises:
            ConfigError: The configuration cannot be meant.
            WeightsError: Weights are missing, do not fit, or are untrained.
        """
        return self._searcher.model

    @cached_property
    def _searcher(self) -> Searcher:
        return Searcher(open_model(self._choice))

    def extract_video_embedding(self, video: Path | str) -> NDArray[np.float32]:
        """The embedding of a video: float32 [D], of length 1.

        Raises:
            VideoError: It cannot be read.
        """
        return self._searcher.record(Path(video)).video.copy()

    def retrieve_event(
        self,
        video: Path | str,
        query: str,
        top_k: int | None = None,
        every_s: float | None = None,
    ) -> list[Moment]:
        """The moments of a video that fit a query best, best first.

        Args:
            video: The file.
            query: What to look for.
            top_k: Most moments; ``None`` is what the configuration says.
            every_s: Seconds between two frames that are scored, at most; ``None`` is what the
                configuration says.

        Raises:
            DataError: The query is blank.
            VideoError: The video cannot be read.
        """
        return list(self.find(video, query, top_k, every_s).moments)

    def forward(
        self, video: Path | str, query: str, every_s: float | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The scores [n] of the frames that :meth:`retrieve_event` looks at, and their indices.

        Raises:
            DataError: The query is blank.
            VideoError: The video cannot be read.
        """
        found = self.find(video, query, None, every_s)
        return found.scores, found.record.source_index.copy()

    def find(
        self,
        video: Path | str,
        query: str,
        top_k: int | None = None,
        every_s: float | None = None,
    ) -> Found:
        """As :meth:`retrieve_event`, with all scores."""
        options = MomentOptions.of(self._choice.settings, top_k, every_s)
        return self._searcher.in_video(Path(video), query, options)

    def answer(
        self, query: Mapping[str, Any], top_k: int | None = None, every_s: float | None = None
    ) -> dict[str, Any]:
        """One query of a batch; a video that cannot be read is told in its result.

        Args:
            query: With ``video_path`` or ``video``, and ``query``.
            top_k: Most moments.
            every_s: As :meth:`retrieve_event` has it.
        """
        options = MomentOptions.of(self._choice.settings, top_k, every_s)
        answer = self._searcher.answer(query, options)
        return answer.as_dict() if isinstance(answer, Found) else answer


def create_unified_model(
    config: Configured = None,
    *,
    weights: Path | str | None = None,
    device: str | None = None,
    allow_untrained: bool = False,
) -> UnifiedTempMeSTOPModel:
    """Load a model; the arguments are those of :class:`UnifiedTempMeSTOPModel`.

    Raises:
        ConfigError: The configuration cannot be meant; every refused field is named.
        WeightsError: Weights are missing, do not fit, or are untrained.
    """
    made = UnifiedTempMeSTOPModel(
        config, weights=weights, device=device, allow_untrained=allow_untrained
    )
    _ = made.model
    return made


def extract_video_embedding(
    video: Path | str, config: Configured = None, **options: Any
) -> NDArray[np.float32]:
    """The embedding of one video; ``options`` are those of :func:`create_unified_model`."""
    return create_unified_model(config, **options).extract_video_embedding(video)


def retrieve_event(
    video: Path | str,
    query: str,
    config: Configured = None,
    *,
    top_k: int | None = None,
    every_s: float | None = None,
    **options: Any,
) -> dict[str, Any]:
    """The result of one query; ``options`` are those of :func:`create_unified_model`.

    Raises:
        CliplineError: It cannot be answered.
    """
    return create_unified_model(config, **options).find(video, query, top_k, every_s).as_dict()


def batch_retrieve_events(
    video_queries: Sequence[Mapping[str, Any]],
    config_path: Configured = None,
    top_k: int | None = None,
    device: str | None = None,
    *,
    every_s: float | None = None,
    **options: Any,
) -> list[dict[str, Any]]:
    """The results of many queries, in their order; a failed one does not stop the others.

    A video that is asked for several times is decoded once.

    Args:
        video_queries: Each with ``video_path`` and ``query``.
        config_path: A configuration or its JSON file.
        top_k: Most moments of a query.
        device: Where the network runs.
        every_s: Seconds between two frames that are scored, at most.
        options: Those of :func:`create_unified_model`.

    Raises:
        ConfigError: The configuration cannot be meant.
        WeightsError: Weights are missing, do not fit, or are untrained.
    """
    model = create_unified_model(config_path, device=device, **options)
    return [model.answer(query, top_k, every_s) for query in video_queries]


def extract_directory_embeddings(
    video_dir: Path | str,
    output_dir: Path | str,
    save_format: Literal["both", "numpy", "json"] | str = "both",
    consolidated: bool = False,
    *,
    summary: bool = False,
    config: Configured = None,
    hash_cache: Path | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Embed a folder of videos; what is there already is kept.

    Args:
        video_dir: The folder.
        output_dir: Gets the embeddings; belongs to this folder of videos.
        save_format: ``both``, ``numpy``, ``json``, ``parquet``, or several with commas.
        consolidated: Also one JSON file with all embeddings.
        summary: Also ``processing_summary.json``.
        config: A configuration or its JSON file.
        hash_cache: Remembers hashes of videos between runs.
        options: Those of :func:`create_unified_model`.

    Returns:
        What the summary says, with ``embedded``, ``kept`` and ``pruned`` of this run.

    Raises:
        CliplineError: Nothing could be done; single videos that fail are in ``failed_videos``.
    """
    formats = parse_formats(save_format)
    wanted = EmbedOptions(formats, consolidated=consolidated, summary=summary)
    run = EmbeddingRun(Path(video_dir), Path(output_dir), wanted, HashCache(hash_cache))
    named = str(config) if isinstance(config, Path | str) else None
    opened_from = {"model": _named(options.get("weights")), "config": named}
    report = run.embed(lambda: create_unified_model(config, **options).model, opened_from)
    return report.as_dict()


def _named(weights: Path | str | None) -> str | None:
    return None if weights is None else str(weights)

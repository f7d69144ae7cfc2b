"""The networks of an evaluation, and the similarities each of them gives."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline_lib.backbones.base import Placement
from pipeline_lib.backbones.clip import ClipBackbone, load_clip
from pipeline_lib.backbones.retrieval_embedding import EmbeddedVideos, embed_texts, embed_videos
from pipeline_lib.backbones.retrieval_model import (
    RetrievalModel,
    load_retrieval_model,
    open_retrieval_model,
)
from pipeline_lib.backbones.video_embedding import unit_rows
from pipeline_lib.config import Params
from pipeline_lib.errors import WeightsError
from pipeline_lib.evaluation.tempme_stop.reranking import rerank
from pipeline_lib.evaluation.tempme_stop.scores import (
    TRAINED,
    UNTRAINED,
    ZERO_SHOT,
    Similarity,
    SplitScores,
)
from pipeline_lib.metrics.retrieval import cosines
from pipeline_lib.runtime.device import choose_device, fix_product_order, set_threads
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.trainers.tempme_stop.splits import CaptionedFrames

_VIDEOS, _TEXTS = 8, 256  # handed to the plain CLIP at once


@dataclass(frozen=True)
class Models:
    """The networks of an evaluation.

    Attributes:
        trained: The network to evaluate.
        untrained: The same as training found it: what merging alone costs.
        plain: Its CLIP, which sees every frame on its own.
    """

    trained: RetrievalModel
    untrained: RetrievalModel
    plain: ClipBackbone


def load_models(folder: Path, params: Params) -> Models:
    """Load the model of a folder and those it is compared with.

    Args:
        folder: Such as ``data/models/tempme_stop/best``; it says which CLIP was trained around.
        params: The sections ``extract``, ``train.tempme_stop`` and ``runtime``.

    Raises:
        WeightsError: No model, or weights are missing, unfit, or not those that it was trained
            around.
    """
    set_threads(params.runtime.threads)
    fix_product_order()
    extract = params.extract
    device = choose_device(params.runtime.device)
    placement = Placement(device, extract.precision, extract.batch_size)
    trained = open_retrieval_model(folder, placement)
    section = trained.section
    seed = params.train.tempme_stop.seed
    untrained = load_retrieval_model(section, trained.config, placement, seed=seed)
    return Models(trained, untrained, load_clip(section, placement))


def score_split(
    split: CaptionedFrames,
    models: Models,
    *,
    equal_captions: bool,
    bank: Tensor | None,
    rerank_best: int,
    progress: Progress = SILENT,
) -> SplitScores:
    """Similarities of one split by every model.

    Args:
        split: Videos that can be read, and their captions.
        models: The networks.
        equal_captions: Whether equal captions match each other's videos.
        bank: Vectors of training captions by the trained model, float [captions, D].
        rerank_best: Candidates of a query that ``tightTransf`` puts into a new order.
        progress: Told of each video.

    Raises:
        WeightsError: A network gives vectors without direction.
    """
    trained = models.trained
    texts, videos = _embedded(trained, split, progress, "embed videos")
    before_texts, before = _embedded(models.untrained, split, progress, "embed videos, untrained")
    similarity = {
        TRAINED: _cosines(texts, videos.video),
        ZERO_SHOT: _zero_shot(models.plain, split, progress),
        UNTRAINED: _cosines(before_texts, before.video),
    }
    reranked = None
    if trained.config.sim_header == "tightTransf":
        vectors = (texts, videos.clips)
        reranked = _reranked(trained, vectors, similarity[TRAINED], rerank_best, progress)
    return SplitScores(
        split.name,
        split.text,
        equal_captions,
        similarity,
        None if bank is None else _cosines(bank, videos.video),
        reranked,
    )


def _embedded(
    model: RetrievalModel, split: CaptionedFrames, progress: Progress, title: str
) -> tuple[Tensor, EmbeddedVideos]:
    videos = embed_videos(model, split.store, progress, items=split.rows, title=title)
    return embed_texts(model, split.texts), videos


def _cosines(texts: Tensor, videos: Tensor) -> Similarity:
    """float32 [texts, videos] of unit vectors."""
    table = cosines(texts.numpy(), videos.numpy())
    if not np.isfinite(table).all():
        raise WeightsError("A text or video has no direction.", hint="Its weights are damaged.")
    return table


def _zero_shot(clip: ClipBackbone, split: CaptionedFrames, progress: Progress) -> Similarity:
    """Cosines of captions with the mean of a video's frame vectors, each of length 1."""
    found = []
    rows = split.rows.tolist()
    with progress.task("embed videos, zero-shot", len(rows)) as advance:
        for start in range(0, len(rows), _VIDEOS):
            frames = [split.store.read(row) for row in rows[start : start + _VIDEOS]]
            every = clip.encode([frame for video in frames for frame in video])
            parts = np.split(unit_rows(every), np.cumsum([len(video) for video in frames])[:-1])
            found += [part.mean(axis=0) for part in parts]
            advance(len(frames))
    videos = unit_rows(np.stack(found), "a video")
    distinct = sorted(set(split.texts))
    encoded = [
        clip.encode_texts(distinct[start : start + _TEXTS])
        for start in range(0, len(distinct), _TEXTS)
    ]
    place = {text: row for row, text in enumerate(distinct)}
    texts = unit_rows(np.concatenate(encoded), "a caption")[[place[text] for text in split.texts]]
    return cosines(texts, videos)


def _reranked(
    model: RetrievalModel,
    vectors: tuple[Tensor, Tensor],
    similarity: Similarity,
    best: int,
    progress: Progress,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both directions, [texts, videos]."""
    texts, clips = (part.to(model.device) for part in vectors)

    def of_text(query: int, candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        return _pairs(model, texts[query : query + 1], clips[torch.from_numpy(candidates)])[0]

    def of_video(query: int, candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        return _pairs(model, texts[torch.from_numpy(candidates)], clips[query : query + 1])[:, 0]

    return (
        rerank(similarity, of_text, best, progress),
        rerank(similarity.T, of_video, best, progress).T,
    )


def _pairs(model: RetrievalModel, texts: Tensor, clips: Tensor) -> NDArray[np.float32]:
    with torch.inference_mode():
        scores: NDArray[np.float32] = model.network.rerank(texts, clips).float().cpu().numpy()
    return scores

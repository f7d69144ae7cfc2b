"""How well captions find their videos."""

import torch
from torch import Tensor

from pipeline_lib.backbones.retrieval_embedding import embed_texts, embed_videos
from pipeline_lib.backbones.retrieval_model import RetrievalModel
from pipeline_lib.metrics.retrieval import match_matrix, retrieval_metrics
from pipeline_lib.runtime.distributed import Group
from pipeline_lib.trainers.resume import Row
from pipeline_lib.trainers.tempme_stop.splits import CaptionedFrames

RECALL_AT = (1, 5, 10)
_COLUMNS = (*(f"{way}_r{k}" for way in ("t2v", "v2t") for k in RECALL_AT), "r_sum")


def embed_split(
    model: RetrievalModel, split: CaptionedFrames, group: Group
) -> tuple[Tensor, Tensor, Tensor]:
    """Captions [n, D], videos [m, D] and clips [m, C, D] of a split, without gradient.

    Each process embeds its share and gets all rows, on the group's device.
    """
    n, m = len(split.texts), len(split.rows)
    texts = embed_texts(model, split.texts[group.share(n)])
    videos = embed_videos(model, split.store, items=split.rows[group.share(m)])
    return (
        group.gather_rows(texts.to(group.device), n),
        group.gather_rows(videos.video.to(group.device), m),
        group.gather_rows(videos.clips.to(group.device), m),
    )


def ranking(texts: Tensor, videos: Tensor, split: CaptionedFrames, equal_captions: str) -> Row:
    """Recall at 1, 5 and 10 in both directions, as ``val_…`` values in per cent.

    Args:
        texts: Captions [n, D].
        videos: Of length 1, [m, D].
        split: Whose they are.
        equal_captions: ``match`` or ``distinct``.
    """
    owners = split.text.video_of_text
    equal = split.texts if equal_captions == "match" else None
    metrics = retrieval_metrics(
        (texts @ videos.T).double().cpu().numpy(),
        match_matrix(owners, len(videos), equal),
        groups=owners,
        recall_at=RECALL_AT,
    )
    return {f"val_{name}": metrics[name] for name in _COLUMNS}


def undefined() -> Row:
    """The columns of :func:`ranking` where there is nothing to measure."""
    return {f"val_{name}": None for name in _COLUMNS}


def all_finite(*tensors: Tensor) -> bool:
    """Whether no value is NaN or infinite."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)

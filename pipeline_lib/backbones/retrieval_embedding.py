"""All videos and captions of a split as a retrieval model embeds them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline_lib.backbones.retrieval_model import RetrievalModel
from pipeline_lib.runtime.progress import SILENT, Progress

# Videos and captions that are handed over at once; the model makes its own batches of them.
_VIDEOS, _TEXTS = 8, 256


class Frames(Protocol):
    """The sampled frames of many videos, as a frame store has them.

    Attributes:
        usable: Whether a video could be read, bool [items].
    """

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Whether a video could be read, bool [items]."""

    def read(self, item: int) -> NDArray[np.uint8]:
        """The frames of one video, uint8 [N, S, S, 3]."""


@dataclass(frozen=True)
class EmbeddedVideos:
    """Vectors of m videos, on the CPU.

    Attributes:
        items: Which video of the store each row is, int64 [m].
        video: Of length 1, fp32 [m, D].
        clips: fp32 [m, C, D].
    """

    items: NDArray[np.int64]
    video: Tensor
    clips: Tensor


def embed_videos(
    model: RetrievalModel,
    store: Frames,
    progress: Progress = SILENT,
    *,
    items: NDArray[np.int64] | None = None,
    title: str = "embed videos",
) -> EmbeddedVideos:
    """Embed the videos of a store, in its order.

    Args:
        model: The model; its ``frames`` is how many the store keeps of a video.
        store: The frames.
        progress: Told of each video.
        items: Which videos; ``None`` takes all that are usable.
        title: What the progress display calls it.
    """
    chosen = np.flatnonzero(store.usable).astype(np.int64) if items is None else items
    videos = [torch.empty(0, model.dim)]
    clips = [torch.empty(0, model.clips, model.dim)]
    with progress.task(title, len(chosen)) as advance:
        for start in range(0, len(chosen), _VIDEOS):
            part = chosen[start : start + _VIDEOS]
            vectors = model.encode_videos(np.stack([store.read(int(item)) for item in part]))
            videos.append(vectors.video.float().cpu())
            clips.append(vectors.clips.float().cpu())
            advance(len(part))
    return EmbeddedVideos(chosen, torch.cat(videos), torch.cat(clips))


def embed_texts(model: RetrievalModel, texts: Sequence[str]) -> Tensor:
    """Embed captions: fp32 [n, D] of length 1, on the CPU; equal texts are embedded once."""
    distinct = list(dict.fromkeys(texts))
    rows = [torch.empty(0, model.dim)]
    for start in range(0, len(distinct), _TEXTS):
        rows.append(model.encode_texts(distinct[start : start + _TEXTS]).float().cpu())
    place = {text: row for row, text in enumerate(distinct)}
    return torch.cat(rows)[[place[text] for text in texts]]

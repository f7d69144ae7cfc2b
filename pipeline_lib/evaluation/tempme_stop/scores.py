"""What everyone makes of one split: similarities of its texts to its videos."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.datasets.video_text.items import VideoText
from pipeline_lib.metrics.retrieval import match_matrix

TRAINED = "tempme_stop"
ZERO_SHOT, UNTRAINED, SHUFFLED, CHANCE = "zero_shot", "untrained", "shuffled", "chance"
CONTROLS = (ZERO_SHOT, UNTRAINED, SHUFFLED, CHANCE)

Similarity = NDArray[np.float32]


@dataclass(frozen=True)
class SplitScores:
    """One split as every model scores it.

    Attributes:
        split: Its name.
        data: The videos that could be read, and their texts.
        equal_captions: Whether equal captions match each other's videos.
        similarity: ``TRAINED``, ``ZERO_SHOT`` and ``UNTRAINED`` to cosines, float32
            [texts, videos].
        bank: Cosines of training captions by the trained model, float32 [captions, videos];
            ``None`` without training captions.
        reranked: What ``tightTransf`` makes of the trained model's similarities, [texts, videos]:
            with the best videos of each text in a new order, and with the best texts of each
            video; ``None`` for a model without it.
    """

    split: str
    data: VideoText
    equal_captions: bool
    similarity: Mapping[str, Similarity]
    bank: Similarity | None = None
    reranked: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None

    def match(self) -> NDArray[np.bool_]:
        """What belongs together, boolean [texts, videos]."""
        texts = self.data.texts if self.equal_captions else None
        return match_matrix(self.data.video_of_text, len(self.data.videos), texts)

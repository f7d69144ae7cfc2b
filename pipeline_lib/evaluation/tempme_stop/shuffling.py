"""The control ``shuffled``: every text bears another's caption."""

import logging

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.evaluation.tempme_stop.scores import TRAINED, SplitScores
from pipeline_lib.metrics.retrieval import RetrievalRanks, match_matrix, retrieval_ranks
from pipeline_lib.runtime.seeding import numpy_stream

_TRIES = 20
_LOG = logging.getLogger(__name__)


def shuffled_ranks(
    scores: SplitScores, match: NDArray[np.bool_], draws: int
) -> tuple[RetrievalRanks, ...]:
    """Ranks of the trained model when captions are exchanged, one a draw.

    A model whose vectors tell videos apart does no better than chance then; one that gives all of
    them the same scores looks as good as before.

    Args:
        scores: The split.
        match: What belongs together, boolean [texts, videos].
        draws: Exchanges.

    Returns:
        Nothing where the captions cannot be exchanged, since nearly all are equal or of one video.
    """
    found = []
    similarity = scores.similarity[TRAINED]
    data = scores.data
    right = match_matrix(data.video_of_text, len(data.videos), data.texts)
    for draw in range(draws):
        stream = numpy_stream("retrieval captions", scores.split, draw)
        caption = exchange(right, data.video_of_text, stream)
        if caption is None:
            _LOG.warning("%s: its captions cannot be exchanged among texts.", scores.split)
            return ()
        found.append(retrieval_ranks(similarity[caption], match, groups=data.video_of_text))
    return tuple(found)


def exchange(
    right: NDArray[np.bool_], video_of_text: NDArray[np.int64], stream: np.random.Generator
) -> NDArray[np.int64] | None:
    """Whose caption each text bears: int64 [texts], every text's caption once.

    No text gets a caption of its own video, nor one that its video bears word for word: such a
    caption would still be a right one. In other respects the order is random.

    Args:
        right: Boolean [texts, videos], the videos that bear a text's caption.
        video_of_text: int64 [texts].
        stream: Of random numbers.

    Returns:
        ``None`` where no such order is found.
    """
    for _ in range(_TRIES):
        order = stream.permutation(len(video_of_text))
        if _repaired(order, right, video_of_text, stream):
            return order
    return None


def _repaired(
    order: NDArray[np.int64],
    right: NDArray[np.bool_],
    video_of_text: NDArray[np.int64],
    stream: np.random.Generator,
) -> bool:
    """Exchange right captions with others' in place; false where one finds no partner."""
    for text in np.flatnonzero(right[order, video_of_text]):
        if not right[order[text], video_of_text[text]]:
            continue  # an earlier exchange repaired it
        fits_here = ~right[order, video_of_text[text]]
        fits_there = ~right[order[text], video_of_text]
        partners = np.flatnonzero(fits_here & fits_there)
        if not len(partners):
            return False
        partner = stream.choice(partners)
        order[[text, partner]] = order[[partner, text]]
    return True

"""Queries as vectors: checked, and cut only with a warning."""

import logging

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.backbones.caption_length import tokens_cut
from pipeline_lib.backbones.retrieval_model import RetrievalModel
from pipeline_lib.datasets.asked_words import require_words
from pipeline_lib.errors import WeightsError

log = logging.getLogger(__name__)
_SHOWN = 80


def check_query(query: str) -> None:
    """Refuse a query without words; see :func:`.asked_words.require_words`."""
    require_words(query, "query", "someone chops vegetables")


def embed_query(model: RetrievalModel, query: str) -> NDArray[np.float32]:
    """The unit vector [D] of a query; one that is longer than the model reads is cut, and logged.

    Raises:
        DataError: It is blank or not valid Unicode.
        WeightsError: The text tower gives no finite vector.
    """
    check_query(query)
    words = model.tokenizer([query]).shape[1]
    cut = tokens_cut(model.tokenizer, query, words)
    if cut:
        log.warning(
            "The model reads %d tokens of a query; the last %d of %r are left out.",
            words,
            cut,
            query if len(query) <= _SHOWN else f"{query[:_SHOWN]}…",
        )
    vector: NDArray[np.float32] = model.encode_texts([query])[0].numpy()
    if not np.isfinite(vector).all():
        raise WeightsError("The text tower gives no finite embedding; its weights are damaged.")
    return vector

"""Similarities rescored with what else is asked: dual softmax and querybank normalisation.

Both use more than a query and a gallery, the other test queries or a bank of training captions, so
that their numbers answer another question and never stand in for the plain ones.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline_lib.errors import DataError

_BLOCK = 1 << 22
_LEAST_LOGARITHM = -700.0  # of a number that fp64 still has


def dual_softmax(similarity: ArrayLike, scale: float) -> NDArray[np.float64]:
    """S * softmax(scale * S) over the queries, https://arxiv.org/abs/2109.04290.

    As published, so of two negative similarities the one with the larger share comes last.

    Args:
        similarity: Float [queries, candidates]; for videos as queries the transposed matrix.
        scale: Inverse temperature.

    Returns:
        float64 [queries, candidates]; where products are too small for it, the same root of all.
    """
    table = np.array(_matrix(similarity, "similarities"), dtype=np.float64)
    sign = np.sign(table)
    for columns in _blocks(table.shape[1], table.shape[0]):
        part = table[:, columns]
        size = np.log(np.abs(part), out=np.full_like(part, -np.inf), where=part != 0)
        part -= part.max(axis=0)
        part *= scale
        part -= np.log(np.exp(part).sum(axis=0))
        part += size
    # Products that all became 0 would be ties, which are decided for the query.
    smallest = table[np.isfinite(table)].min(initial=0.0)
    return sign * np.exp(table / max(1.0, smallest / _LEAST_LOGARITHM))


def querybank_norm(
    similarity: ArrayLike, bank: ArrayLike, *, k: int, beta: float
) -> NDArray[np.float64]:
    """Dynamic inverted softmax with a querybank, https://arxiv.org/abs/2112.12777.

    A candidate is a hub where it is among the best ``k`` of a bank query. A query whose best
    candidate is a hub gets exp(beta * s) / sum over the bank of exp(beta * b), the others keep
    their similarities: rows are ranked on their own, so the two never meet.

    Args:
        similarity: Float [queries, candidates], cosines.
        bank: Float [bank queries, candidates], of queries that are not the tested ones.
        k: How many best candidates of a bank query are hubs.
        beta: Inverse temperature.

    Returns:
        float64 [queries, candidates]; normalised rows as logarithms, which are ranked alike.

    Raises:
        DataError: A matrix is empty or not 2-D, or the candidates are not the same number.
    """
    table = np.array(_matrix(similarity, "similarities"), dtype=np.float64)
    others = _matrix(bank, "similarities of the querybank")
    if others.shape[1] != table.shape[1]:
        raise DataError(
            f"A querybank of {others.shape[1]} candidates, and {table.shape[1]} are ranked."
        )
    hub = np.zeros(table.shape[1], dtype=bool)
    best = min(k, table.shape[1])
    peak = np.full(table.shape[1], -np.inf)
    for rows in _blocks(*others.shape):
        part = np.asarray(others[rows], dtype=np.float64)
        hub[np.unique(np.argpartition(-part, best - 1, axis=1)[:, :best])] = True
        np.maximum(peak, part.max(axis=0), out=peak)
    mass = np.zeros(table.shape[1])
    for rows in _blocks(*others.shape):
        mass += np.exp(beta * (np.asarray(others[rows], dtype=np.float64) - peak)).sum(axis=0)
    touched = hub[table.argmax(axis=1)]
    table[touched] = beta * (table[touched] - peak) - np.log(mass)
    return table


def _matrix(values: ArrayLike, name: str) -> NDArray[np.floating]:
    table = np.asarray(values)
    if table.ndim != 2 or not table.size:
        raise DataError(f"The {name} are a matrix, not {list(table.shape)}.")
    return table


def _blocks(rows: int, columns: int) -> list[slice]:
    step = max(1, _BLOCK // columns)
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]

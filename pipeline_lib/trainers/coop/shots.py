"""Choosing some of the training windows: a few a class, from as many videos as possible."""

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def choose_shots(
    labels: Indices, video_of_window: Indices, shots: int, generator: np.random.Generator
) -> Indices:
    """Draw ``shots`` windows of every class; a class that has fewer gives all.

    Each round takes one window of every video that has one left, so no video gives a second window
    before all have given one.

    Args:
        labels: Class of each window, int64 [n].
        video_of_window: Video of each window, int64 [n].
        shots: Windows a class.
        generator: Decides which windows and which videos come first.

    Returns:
        Chosen windows, ascending.
    """
    counts = np.bincount(labels)
    return _draw(labels, video_of_window, np.minimum(counts, shots), generator)


def choose_evenly(
    labels: Indices, video_of_window: Indices, most: int, generator: np.random.Generator
) -> Indices:
    """Draw at most ``most`` windows, evenly over classes and, within them, over videos.

    What a small class cannot give is shared out among the others.

    Args:
        labels: Class of each window, int64 [n].
        video_of_window: Video of each window, int64 [n].
        most: Windows in all.
        generator: Decides which windows and which videos come first.

    Returns:
        Chosen windows, ascending; all of them where there are no more than ``most``.
    """
    if len(labels) <= most:
        return np.arange(len(labels), dtype=np.int64)
    counts = np.bincount(labels)
    return _draw(labels, video_of_window, _fair_shares(counts, most), generator)


def _fair_shares(counts: Indices, most: int) -> Indices:
    """How many each class gives: the same number, except for classes that have not so many."""
    shares = np.zeros_like(counts)
    # From the smallest class up, each may take an equal part of what is left.
    order = np.argsort(counts, kind="stable")
    for place, index in enumerate(order):
        shares[index] = min(counts[index], most // (len(order) - place))
        most -= int(shares[index])
    return shares


def _draw(
    labels: Indices, video_of_window: Indices, shares: Indices, generator: np.random.Generator
) -> Indices:
    """``shares[c]`` windows of each class c, taken in rounds over its videos."""
    # A random order first: stable sorts below then leave ties in it.
    shuffled = generator.permutation(len(labels))
    turn = generator.permutation(int(video_of_window.max()) + 1)[video_of_window[shuffled]]
    classes = labels[shuffled]
    by_video = np.lexsort((turn, classes))
    rounds = np.empty(len(labels), dtype=np.int64)
    rounds[by_video] = _place_in_run(classes[by_video], turn[by_video])
    by_class = np.lexsort((turn, rounds, classes))
    ordered = classes[by_class]
    taken = _place_in_run(ordered) < shares[ordered]
    return np.sort(shuffled[by_class[taken]]).astype(np.int64)


def _place_in_run(*keys: Indices) -> Indices:
    """For each position, how many equal ones stand directly before it."""
    positions = np.arange(len(keys[0]))
    starts = np.zeros(len(positions), dtype=bool)
    starts[:1] = True
    for key in keys:
        starts[1:] |= key[1:] != key[:-1]
    return np.asarray(positions - np.maximum.accumulate(np.where(starts, positions, 0)))

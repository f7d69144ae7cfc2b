"""Drawing train, val and test: per class, the same on every machine, copies never apart."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from pipeline_lib.datasets.layout import SPLITS
from pipeline_lib.errors import ConfigError
from pipeline_lib.own_data.source import SourceVideo, with_split

Shares = Mapping[str, float]


def parse_shares(text: str) -> dict[str, float]:
    """The shares of train, val and test as written on the command line: ``70,15,15``.

    Returns:
        Split to share; together 1.

    Raises:
        ConfigError: These are not three numbers, one is negative, or train gets nothing.
    """
    try:
        parts = [float(part) for part in text.replace("/", ",").split(",")]
    except ValueError:
        parts = []
    if len(parts) != len(SPLITS) or not parts[0] > 0 or not all(0 <= part < 1e9 for part in parts):
        raise ConfigError(
            f"--split {text!r} is not three shares.",
            hint="Give train, val and test such as 70,15,15; train is above 0.",
        )
    return {split: part / sum(parts) for split, part in zip(SPLITS, parts, strict=True)}


def assign_splits(
    videos: Sequence[SourceVideo], shares: Shares, seed: int, copies: Mapping[SourceVideo, str]
) -> list[SourceVideo]:
    """Give every video without a split one; of each class its shares, as far as it goes.

    The order in which videos are dealt out follows from the seed and their names, not from how
    many there are, so that most keep their split when others come in. Files with the same bytes
    stay together. Where there are splits and no ``val``, it is drawn from ``train``, so that
    nothing is chosen on the test videos.

    Args:
        videos: With classes; those with a split keep it.
        shares: Of train, val and test; together 1.
        seed: Another one deals them out in another order.
        copies: Hash of each video that has a copy.
    """
    given = {video.split for video in videos} - {""}
    open_splits: Sequence[str] = SPLITS
    drawn = shares
    if "train" in given and "val" not in given:
        open_splits = ("train", "val")
        total = shares["train"] + shares["val"]
        drawn = {split: shares[split] / total for split in open_splits}
        loose = [video for video in videos if video.split in ("", "train")]
    else:
        loose = [video for video in videos if not video.split]
    units: defaultdict[str, list[SourceVideo]] = defaultdict(list)
    for video in loose:
        units[copies.get(video, video.relative)].append(video)
    split_of: dict[SourceVideo, str] = {}
    for members in _by_class(units.values()).values():
        members.sort(key=lambda unit: _lot(seed, unit[0]))
        counts = apportion(len(members), [drawn[split] for split in open_splits])
        dealt = [split for split, n in zip(open_splits, counts, strict=True) for _ in range(n)]
        for unit, split in zip(members, dealt, strict=True):
            split_of |= dict.fromkeys(unit, split)
    return [with_split(video, split_of.get(video, video.split)) for video in videos]


def apportion(total: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers that add up to ``total``, as near to the shares as they come.

    Of three or more items every split with a share gets at least one; the first gets what can be
    shared out with less.

    Args:
        total: Items to deal out.
        shares: Together 1.
    """
    counts = [int(total * share + 1e-9) for share in shares]
    rest = sorted(range(len(shares)), key=lambda k: (counts[k] - total * shares[k], k))
    for k in rest[: total - sum(counts)]:
        counts[k] += 1
    wanted = [k for k, share in enumerate(shares) if share > 0]
    for k in wanted:
        richest = max(range(len(shares)), key=lambda j: counts[j])
        if counts[k] == 0 and total >= len(wanted) and counts[richest] > 1:
            counts[richest] -= 1
            counts[k] += 1
    if counts[0] == 0 and total:
        counts[max(range(len(shares)), key=lambda j: counts[j])] -= 1
        counts[0] += 1
    return counts


def _by_class(units: Iterable[list[SourceVideo]]) -> dict[str, list[list[SourceVideo]]]:
    by_class: defaultdict[str, list[list[SourceVideo]]] = defaultdict(list)
    for unit in units:
        by_class[unit[0].class_name].append(unit)
    return dict(sorted(by_class.items()))


def _lot(seed: int, video: SourceVideo) -> bytes:
    return hashlib.sha256(f"{seed}\0{video.relative}".encode()).digest()

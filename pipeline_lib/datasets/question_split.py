"""Which question items train, which choose the epoch and which are only measured."""

import logging
from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

import pandas as pd

from pipeline_lib.config import PosNegConfig
from pipeline_lib.datasets.layout import SPLITS
from pipeline_lib.datasets.mined import MINED
from pipeline_lib.errors import DataError
from pipeline_lib.paths import nfc
from pipeline_lib.runtime.seeding import numpy_stream

_LOG = logging.getLogger(__name__)
_LISTED = 3
# A share is a decimal fraction: 0.29 of 100 videos is 28.999999999999996.
_ROUNDING = 1e-9


def split_of_items(items: pd.DataFrame, config: PosNegConfig) -> "pd.Series[str]":
    """The split of every item, by the folder of its video or drawn by whole videos.

    ``ratio`` cannot leak: files with the same bytes stay together, whatever their names are. It
    depends on the videos alone, neither on the order of the items nor on how many each has. Videos
    without a mined item are drawn apart from the others, so that the mined items alone give the
    same splits as all items.

    Args:
        items: The table of :func:`~pipeline_lib.datasets.mined.read_mined`, or some of its rows.
        config: ``split``, the ratios and ``seed``.

    Returns:
        ``train``, ``val`` or ``test`` with the index of ``items``; an item without frames whose
        video says nothing of its split, or could not be read, has an empty text.

    Raises:
        DataError: No mined item trains, or (``folder``) the video of a mined item lies in no
            folder of a split.
    """
    splits = _by_folder(items) if config.split == "folder" else _by_ratio(items, config)
    if not (splits[items["status"] == MINED] == "train").any():
        raise DataError(
            f"No mined item is in train (train.pos_neg.split: {config.split}).",
            hint="Lower train.pos_neg.val_ratio and test_ratio, or mine more videos."
            if config.split == "ratio"
            else "Put videos under videos/train/, or set train.pos_neg.split: ratio.",
        )
    return splits


def _by_folder(items: pd.DataFrame) -> "pd.Series[str]":
    first = [next(iter(PurePosixPath(path).parts), "") for path in items["video_path"]]
    splits = _series(items, (part if part in SPLITS else "" for part in first))
    lost = items[(splits == "") & (items["status"] == MINED)]
    if len(lost):
        more = f" ({len(lost)} such items)" if len(lost) > 1 else ""
        raise DataError(
            f"Item {lost['id'].iloc[0]!r}: video_path {lost['video_path'].iloc[0]!r} is in none of "
            f"{', '.join(f'{split}/' for split in SPLITS)}{more}.",
            hint="Set train.pos_neg.split: ratio in params.yaml to draw the splits instead.",
        )
    _warn_of_leaks(items, splits)
    return splits


def _warn_of_leaks(items: pd.DataFrame, splits: "pd.Series[str]") -> None:
    paths: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for digest, path, split in zip(items["video_sha256"], items["video_path"], splits, strict=True):
        if digest and split:
            paths[digest][split] = min(path, paths[digest].get(split, path))
    leaks = sorted(
        " = ".join(found[split] for split in SPLITS if split in found)
        for found in paths.values()
        if len(found) > 1
    )
    if leaks:
        more = f" and {len(leaks) - _LISTED} more" if len(leaks) > _LISTED else ""
        _LOG.warning(
            "%d videos are in more than one split under different names, so what is measured "
            "leaks from training: %s%s. Remove one of each, or set train.pos_neg.split: ratio.",
            len(leaks), ", ".join(leaks[:_LISTED]), more,
        )  # fmt: skip


def _by_ratio(items: pd.DataFrame, config: PosNegConfig) -> "pd.Series[str]":
    videos = _video_of_each(items)
    mined = set(videos[items["status"] == MINED])
    drawn = {
        **_draw(mined, config, "pos_neg split"),
        **_draw(set(videos) - mined - {""}, config, "pos_neg split, not mined"),
    }
    return _series(items, (drawn.get(video, "") for video in videos))


def _video_of_each(items: pd.DataFrame) -> "pd.Series[str]":
    """The bytes each item is about; an item refused before its video was read asks the others."""
    paths = items["video_path"].map(lambda path: nfc(str(PurePosixPath(path))))
    own = items["video_sha256"]
    digests = dict(zip(paths[own != ""], own[own != ""], strict=True))
    return own.where(own != "", paths.map(lambda path: digests.get(path, "")))


def _draw(videos: Iterable[str], config: PosNegConfig, stream: str) -> dict[str, str]:
    order = numpy_stream(config.seed, stream).permutation(sorted(videos)).tolist()
    n_val, n_test = (
        int(len(order) * ratio + _ROUNDING) for ratio in (config.val_ratio, config.test_ratio)
    )
    names = ["val"] * n_val + ["test"] * n_test
    names += ["train"] * (len(order) - len(names))
    return dict(zip(order, names, strict=False))


def _series(items: pd.DataFrame, values: Iterable[str]) -> "pd.Series[str]":
    return pd.Series(list(values), index=items.index, dtype="str", name="split")

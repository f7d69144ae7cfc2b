"""What a training on true and negative frames reads: mined items, captions and splits."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from pipeline_lib.config import PosNegConfig
from pipeline_lib.datasets.mined import MINED, NEGATIVE, TRUE, Mined, read_mined
from pipeline_lib.datasets.question_captions import caption_of
from pipeline_lib.datasets.question_split import split_of_items
from pipeline_lib.errors import ConfigError
from pipeline_lib.fingerprint import sha256_file


@dataclass(frozen=True)
class Item:
    """One question with its frames.

    Attributes:
        id: Its name.
        caption: Index of its caption.
        true: Indices of its true frames, at least one.
        negative: Indices of its mined negatives, may be empty.
    """

    id: str
    caption: int
    true: tuple[int, ...]
    negative: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class PosNegData:
    """What a run trains on and chooses its best epoch by.

    Attributes:
        captions: The distinct captions, sorted.
        frames: The PNG of each distinct frame: one that several items of a video share stands
            here once.
        train: Training items, in the order of their ids.
        val: Validation items, likewise.
        split: Columns ``id``, ``video_path`` and ``split`` of every mined item.
    """

    captions: tuple[str, ...]
    frames: tuple[Path, ...]
    train: tuple[Item, ...]
    val: tuple[Item, ...]
    split: pd.DataFrame

    def sha256(self) -> str:
        """Hex digest of the items, their captions and the bytes of all pictures."""
        items = [asdict(item) for item in (*self.train, *self.val)]
        digest = hashlib.sha256(json.dumps([self.captions, len(self.train), items]).encode())
        with ThreadPoolExecutor() as threads:
            for picture in threads.map(sha256_file, self.frames):
                digest.update(picture.encode())
        return digest.hexdigest()


def load_data(directory: Path, config: PosNegConfig) -> PosNegData:
    """The training and validation items of a folder of mined frames.

    Args:
        directory: What the stage ``mine`` wrote.
        config: Which captions, and which split.

    Raises:
        ConfigError: There is no validation item, and the best epoch is to be chosen by them.
        DataError: The folder cannot be used, no item trains, or an item has no caption.
    """
    mined = read_mined(directory)
    return data_of(mined, split_of_items(mined.items, config), config)


def data_of(mined: Mined, splits: "pd.Series[str]", config: PosNegConfig) -> PosNegData:
    """The training and validation items among mined ones.

    Args:
        mined: What the stage ``mine`` wrote.
        splits: The split of every item, see
            :func:`~pipeline_lib.datasets.question_split.split_of_items`.
        config: Which captions, and how the best epoch is chosen.

    Raises:
        ConfigError: There is no validation item, and the best epoch is to be chosen by them.
        DataError: An item has no caption.
    """
    items = mined.items.assign(split=splits)
    items = items[items["status"] == MINED].sort_values("id").reset_index(drop=True)
    if config.select != "last" and not (items["split"] == "val").any():
        raise ConfigError(
            f"train.pos_neg.select = {config.select!r} chooses the best epoch by val items, and "
            f"train.pos_neg.split = {config.split!r} puts none of {len(items)} items there.",
            hint="Set train.pos_neg.select: last, or train.pos_neg.split: ratio with a larger "
            "train.pos_neg.val_ratio.",
        )
    used = items[items["split"].isin(("train", "val"))]
    used = used.assign(caption=_captions(used, config))
    frames = _distinct_frames(used, mined)
    captions = sorted(used["caption"].unique())
    made = dict(zip(used["id"], _items(used, frames, captions), strict=True))
    return PosNegData(
        captions=tuple(captions),
        frames=tuple(mined.directory / path for path in frames.drop_duplicates("frame")["path"]),
        train=tuple(made[name] for name in used["id"][used["split"] == "train"]),
        val=tuple(made[name] for name in used["id"][used["split"] == "val"]),
        split=items[["id", "video_path", "split"]],
    )


def _captions(items: pd.DataFrame, config: PosNegConfig) -> list[str]:
    columns = (items["id"], items["question"], items["choices"])
    return [caption_of(*of_item, config.caption) for of_item in zip(*columns, strict=True)]


def _distinct_frames(items: pd.DataFrame, mined: Mined) -> pd.DataFrame:
    """The rows of ``items``' frames, with the number of the distinct ``frame`` each shows."""
    video = items["video_sha256"].where(items["video_sha256"] != "", items["video_path"])
    frames = mined.frames.merge(
        pd.DataFrame({"id": items["id"], "video": video}), on="id", how="inner"
    ).sort_values(["video", "source_index", "path"])
    # Sorted alike, so that the first row of each frame stands in the order of the frames.
    return frames.assign(frame=frames.groupby(["video", "source_index"]).ngroup())


def _items(items: pd.DataFrame, frames: pd.DataFrame, captions: list[str]) -> list[Item]:
    number = {caption: index for index, caption in enumerate(captions)}
    of_item = {key: tuple(rows) for key, rows in frames.groupby(["id", "kind"])["frame"]}
    return [
        Item(
            name,
            number[caption],
            true=of_item[name, TRUE],
            negative=of_item.get((name, NEGATIVE), ()),
        )
        for name, caption in zip(items["id"], items["caption"], strict=True)
    ]

"""Videos in folders of their classes: ``{train,val,test}/{class}/``."""

from pathlib import Path

from pipeline_lib.config import VideoListConfig
from pipeline_lib.datasets.layout import parse_id
from pipeline_lib.datasets.video_clips.entries import Entries, Entry
from pipeline_lib.paths import VIDEO_SUFFIXES
from pipeline_lib.video.files import files_below


def read_folders(config: VideoListConfig, folder: Path, split: str) -> Entries | None:
    """The videos of a split, sorted; ``None`` where it has no folder.

    Args:
        config: Not looked at.
        folder: Of the splits.
        split: Its name.
    """
    del config
    if not (folder / split).is_dir():
        return None
    names = [f"{split}/{name}" for name in sorted(files_below(folder / split, VIDEO_SUFFIXES))]
    parsed = [(name, parse_id(name)) for name in names]
    entries = [Entry(name, (parts.class_name,)) for name, parts in parsed if parts is not None]
    return Entries(folder / split, tuple(entries))

"""Videos with a class or a value each, and the clips that a network sees of them."""

from pipeline_lib.datasets.video_clips.items import ClipItem, ClipList
from pipeline_lib.datasets.video_lists.missing import MissingVideo

__all__ = ["ClipItem", "ClipList", "MissingVideo"]

"""Videos with captions. A format is one module and one line here."""

from typing import Protocol

from pipeline_lib.datasets.video_lists.missing import MissingVideo
from pipeline_lib.datasets.video_text.items import VideoItem, VideoText
from pipeline_lib.datasets.video_text.source import Listed, Source
from pipeline_lib.registry import Registry

__all__ = ["VIDEO_TEXT", "Listed", "MissingVideo", "Source", "VideoItem", "VideoText"]


class VideoTextFormat(Protocol):
    """Reads the annotation files of one data set."""

    def __call__(self, source: Source, split: str) -> tuple[Listed, ...]:
        """The videos of a split with their captions, in the order of the list.

        Args:
            source: The files.
            split: ``train``, ``val`` or ``test``.

        Returns:
            Nothing for a ``val`` that the data set has no list of.

        Raises:
            DataError: A file is missing or cannot be used.
        """


VIDEO_TEXT: Registry[VideoTextFormat] = Registry(
    "video-text format",
    {
        "activitynet": "pipeline_lib.datasets.video_text.activitynet:read_activitynet",
        "captions": "pipeline_lib.datasets.video_text.captions:read_captions",
        "didemo": "pipeline_lib.datasets.video_text.didemo:read_didemo",
        "lsmdc": "pipeline_lib.datasets.video_text.lsmdc:read_lsmdc",
        "msrvtt": "pipeline_lib.datasets.video_text.msrvtt:read_msrvtt",
        "msvd": "pipeline_lib.datasets.video_text.msvd:read_msvd",
        "vatex": "pipeline_lib.datasets.video_text.vatex:read_vatex",
    },
)

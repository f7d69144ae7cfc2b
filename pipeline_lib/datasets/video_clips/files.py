"""The files that lists of clips name."""

from pathlib import Path, PurePosixPath

from pipeline_lib.config import VideoListConfig
from pipeline_lib.datasets.video_clips.entries import Entry
from pipeline_lib.datasets.video_lists.video_names import VideoNames
from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.paths import path_fault


class ListedFiles:
    """Video files, or folders of pictures, below a folder.

    Args:
        root: The folder.
        config: What lists name: paths of videos, of folders, or ids.

    Raises:
        ConfigError: ``frame_name`` does not name pictures by their numbers.
        DataError: There is no such folder.
    """

    def __init__(self, root: Path, config: VideoListConfig) -> None:
        self._root = root
        self._whole_root = root.absolute().as_posix()
        self._by_id = config.format == "lvu"
        self._frame_name = config.frame_name if config.format == "frames" else None
        if self._frame_name is None:
            self._names = VideoNames(root)
        elif not root.is_dir():
            raise DataError(f"No folder of pictures {root}.", hint="Set dataset.videos to it.")
        else:
            picture_name(self._frame_name, 1)

    def find(self, entry: Entry) -> Path | str:
        """The file or folder of a video, or in words why there is none.

        No name leads out of the root.
        """
        if self._by_id:
            return self._names.named(entry.name)
        name = self._below_root(entry.name)
        fault = path_fault(name)
        if fault:
            return f"its path cannot be used: {fault}"
        if self._frame_name is None:
            return self._names.at_with_any_suffix(name)
        folder = self._root / PurePosixPath(name)
        return folder if folder.is_dir() else f"no such folder below {self._root}"

    def _below_root(self, name: str) -> str:
        """Lists often hold whole paths; one that leads to the root goes on from there."""
        path, root = PurePosixPath(name), self._whole_root
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else name


def picture_name(pattern: str, number: int) -> str:
    """What the picture of a number, from 1, is called.

    Raises:
        ConfigError: ``pattern`` takes no number.
    """
    try:
        name, other = pattern.format(number), pattern.format(number + 1)
    except (ValueError, IndexError, KeyError, AttributeError):
        name = other = ""
    if name == other or path_fault(name) is not None:
        raise ConfigError(
            f"dataset.frame_name = {pattern!r} does not name a picture by its number.",
            hint="img_{:05}.jpg is img_00001.jpg, img_00002.jpg, ….",
        )
    return name

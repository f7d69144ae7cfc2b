"""The video files that lists name, with or without folder and suffix."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from pipeline_lib.errors import DataError
from pipeline_lib.paths import VIDEO_SUFFIXES, nfc
from pipeline_lib.video.files import files_below

_LISTED = 3


class VideoNames:
    """Video files below a folder, at any depth.

    Args:
        root: The folder.

    Raises:
        DataError: There is no such folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        if not root.is_dir():
            raise DataError(
                f"No folder of videos {root}.", hint="Set dataset.videos to where they are."
            )
        self._by_path = files_below(root, VIDEO_SUFFIXES)
        self._by_name: defaultdict[str, list[str]] = defaultdict(list)
        self._by_bare: defaultdict[str, list[str]] = defaultdict(list)
        self._by_bare_path: defaultdict[str, list[str]] = defaultdict(list)
        for relative in sorted(self._by_path):
            name = PurePosixPath(relative).name
            self._by_name[name].append(relative)
            self._by_bare[_bare(name)].append(relative)
            self._by_bare_path[_bare(relative)].append(relative)

    def at(self, relative: str) -> Path | str:
        """The file with a path below the folder, or in words why there is none."""
        return self._one([nfc(relative)] if nfc(relative) in self._by_path else [])

    def at_with_any_suffix(self, relative: str) -> Path | str:
        """As :meth:`at`, but lists may leave out the suffix of a video, or give another one."""
        name = nfc(PurePosixPath(relative).as_posix())
        written = [name] if name in self._by_path else self._by_bare_path.get(_bare(name), [])
        return self._one(written)

    def named(self, *names: str) -> Path | str:
        """The file that a list calls by one of ``names``, or in words why there is none.

        It is looked for at any depth, first as it is written, then without suffixes on either
        side: ``a.3gp`` may have become ``a.3gp.mp4``. No name leads out of the folder, since only
        files that were found below it are compared with it.
        """
        for name in map(nfc, names):
            found = self._by_name.get(name) or self._by_bare.get(_bare(name))
            if found:
                return self._one(found)
        return self._one([])

    def _one(self, relatives: Sequence[str]) -> Path | str:
        paths = [path for relative in relatives for path in self._by_path[relative]]
        if not paths:
            return f"no such video below {self.root}"
        if len(paths) > 1:
            several = sorted(path.relative_to(self.root).as_posix() for path in paths)
            return f"several videos have this name: {', '.join(several[:_LISTED])}"
        return paths[0] if paths[0].is_file() else f"{paths[0]} is no file"


def _bare(name: str) -> str:
    """``name`` without all suffixes of videos."""
    while PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES:
        name = name[: -len(PurePosixPath(name).suffix)]
    return name

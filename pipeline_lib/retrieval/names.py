"""What the embeddings of videos are called.

A video below a folder is called as its path there without suffix: ``a.mp4`` is ``a`` and
``b/a.mp4`` is ``b/a``. Of several files that differ only in their suffix (or in the Unicode form of
their name) the ``.mp4``, or else the first, has that name, and each other one keeps its suffix:
``a.mkv``. A name once given stays: neither a new video nor one that is gone changes what another
one is called.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from pipeline_lib.errors import DataError
from pipeline_lib.paths import VIDEO_SUFFIXES, nfc
from pipeline_lib.video.files import files_below


@dataclass(frozen=True)
class NamedVideo:
    """One video to embed.

    Attributes:
        name: Of its embedding, with forward slashes.
        relative: Its path below the folder, as the file system spells it.
        path: The file.
    """

    name: str
    relative: str
    path: Path


def find_named(folder: Path, known: Mapping[str, str]) -> list[NamedVideo]:
    """All videos below a folder, by name; hidden files and folders are ignored.

    Args:
        folder: Is looked through with all folders in it.
        known: Names that were given before, by relative path.

    Raises:
        DataError: There is no such folder, or it holds no video.
    """
    if not folder.is_dir():
        what = "not a folder" if folder.exists() else "no such folder"
        raise DataError(f"{folder}: {what}.", hint="Name a folder of videos.")
    found = files_below(folder, VIDEO_SUFFIXES)
    relatives = {
        os.path.relpath(path, folder).replace(os.sep, "/"): path
        for paths in found.values()
        for path in paths
    }
    if not relatives:
        raise DataError(
            f"{folder}: holds no videos.",
            hint=f"Known suffixes: {' '.join(sorted(VIDEO_SUFFIXES))}.",
        )
    names = _names(relatives, known)
    videos = [NamedVideo(names[one], one, path) for one, path in relatives.items()]
    return sorted(videos, key=lambda video: video.name)


def _names(relatives: Mapping[str, Path], known: Mapping[str, str]) -> dict[str, str]:
    names = {one: known[one] for one in sorted(relatives) if one in known}
    taken = set(known.values())
    new = relatives.keys() - names.keys()
    for relative in sorted(new, key=lambda one: (not one.lower().endswith(".mp4"), one)):
        names[relative] = next(name for name in _candidates(relative) if name not in taken)
        taken.add(names[relative])
    return names


def _candidates(relative: str) -> Iterator[str]:
    whole = nfc(relative)
    yield whole.rpartition(".")[0]
    yield whole
    yield from (f"{whole}.{number}" for number in count(2))
